// OpenTelemetry: a span for each message that clients publish and one for each delivery, in the trace that the publisher began. MQTT 5 carries
// the trace in the user properties `traceparent` and `tracestate`, as W3C's Trace Context for MQTT has it, so a trace goes from program
// to program through the broker, also where the message waited in a store. Spans go where the program's OpenTelemetry SDK sends them; without
// one nothing is recorded. npm install @opentelemetry/api
import { type Context, propagation, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { type Client, definePlugin, type Message, type Properties, Stage, type UserProperty } from 'mqttx-broker'

/** Records spans of messages on their way through the broker. */
export const tracing = definePlugin({
  name: 'tracing',
  options: {
    /** A message whose publisher began no trace begins one here; `false`: it has no spans. */
    begin: { type: 'boolean', default: true },
  },
  apply({ hooks }, { begin }) {
    const tracer = trace.getTracer('mqttx-broker')
    const published = new WeakMap<Message, Span>()
    // Deliveries that await their acknowledgement: as many as the client's Receive Maximum allows.
    const delivering = new WeakMap<Client, Map<Message, Span>>()

    // Before all others that change the message: what they do is in the span.
    hooks.onPublish.tap({ name: 'tracing', stage: Stage.Guard }, ({ clientId }, message) => {
      const context = contextOf(message.properties)
      if (!begin && trace.getSpanContext(context) === undefined) return
      const span = tracer.startSpan('publish', { kind: SpanKind.CONSUMER, attributes: attributesOf(message, clientId) }, context)
      if (!span.isRecording()) return
      published.set(message, span)
      message.properties = withTrace(message.properties, trace.setSpan(context, span))
    })
    hooks.onRoute.tap({ name: 'tracing', stage: Stage.Observe }, message => {
      published.get(message)?.end()
    })

    hooks.onDelivered.tap('tracing', (client, message) => {
      const context = contextOf(message.properties)
      if (trace.getSpanContext(context) === undefined) return
      const attributes = attributesOf(message, client.clientId)
      const span = tracer.startSpan('deliver', { kind: SpanKind.PRODUCER, attributes }, context)
      if (message.qos === 0) return span.end()
      let spans = delivering.get(client)
      if (spans === undefined) delivering.set(client, (spans = new Map()))
      spans.get(message)?.end()
      spans.set(message, span)
    })
    hooks.onAcked.tap('tracing', (client, message) => {
      delivering.get(client)?.get(message)?.end()
      delivering.get(client)?.delete(message)
    })
    // The session sends it again, in a span of its own.
    hooks.onDisconnect.tap('tracing', (client, { message }) => {
      for (const span of delivering.get(client)?.values() ?? []) failed(span, message)
      delivering.delete(client)
    })

    hooks.onDrop.tap('tracing', (clientId, message, reason) => {
      const span = published.get(message)
      if (reason === 'refused' && span !== undefined) failed(span, reason)
      else trace.getSpan(contextOf(message.properties))?.addEvent('dropped', { reason, 'messaging.client.id': clientId })
    })
  },
})

function attributesOf({ topic, qos, payloadLength }: Message, clientId: string) {
  return {
    'messaging.system': 'mqtt',
    'messaging.destination.name': topic,
    'messaging.client.id': clientId,
    'messaging.message.body.size': payloadLength,
    'messaging.mqtt.qos': qos,
  }
}

function failed(span: Span, message: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message }).end()
}

const isTrace = ([name]: UserProperty): boolean => name === 'traceparent' || name === 'tracestate'

/** The trace that a message's user properties name. A client chooses the names, so only those two are looked at. */
function contextOf(properties: Properties | undefined): Context {
  const found = properties?.userProperties?.filter(isTrace) ?? []
  return found.length === 0 ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, Object.fromEntries(found))
}

/** The same properties, with the trace of `context`. */
function withTrace(properties: Properties | undefined, context: Context): Properties {
  const carrier: Record<string, string> = {}
  propagation.inject(context, carrier)
  const others = properties?.userProperties?.filter(property => !isTrace(property)) ?? []
  return { ...properties, userProperties: [...others, ...Object.entries(carrier)] }
}
