import type { Connection } from '../connection/connection.ts'
import type { PublishHandling } from '../connection/connection-host.ts'
import type { PendingPublish } from '../connection/pending-publish.ts'
import { MqttError } from '../errors.ts'
import { Message } from '../messages/message.ts'
import { changeFault, consequenceOf, publishFault } from '../messages/publish-fault.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import { publishAckCode, ReasonCode } from '../reason.ts'
import { type PublishVerdict, type Refusal, textOf, toRefusal } from '../refusals.ts'
import { loweredQoS } from '../routing/lowered-qos.ts'
import type { HandlerHost } from './host.ts'

/** PUBLISH: judged, routed and acknowledged. */
export class PublishHandler implements PublishHandling {
  readonly #host: HandlerHost

  constructor(host: HandlerHost) {
    this.#host = host
  }

  handle(client: Connection, publish: InboundPublish): PendingPublish | null {
    const host = this.#host
    const { qos, packetId } = publish
    const { maximumQoS, topicAliasMaximum } = host.settings.mqtt
    if (qos > maximumQoS) throw new MqttError(ReasonCode.QoSNotSupported, `QoS ${qos} is not supported here`) // [MQTT-3.2.2-11]
    const topic = resolveAlias(client, topicAliasMaximum, publish)
    const { meter } = client
    let metered: PublishVerdict | undefined
    if (meter !== null) {
      metered = meter.publish(publish)
      if (client.closed) return null
    }

    // Before MQTT 5 nobody can tell a client that messages are not retained here, so they go out as if they were not to be.
    if (publish.retain && !host.capabilities.retain) {
      if (client.version === 5) throw new MqttError(ReasonCode.RetainNotSupported, 'retained messages are not supported here') // [MQTT-3.2.2-14]
      publish.retain = false
    }
    if (qos > 0 && !client.acks.accept(qos, packetId)) return null

    const message = messageOf(client, publish, topic, host.now)
    if (host.timings.due) host.timings.begin(message)
    const refusal = metered ?? publishFault(host, client, message)
    if (refusal === undefined && (host.matchUsed || host.hooks.onPublish.isUsed())) return this.#ask(client, message, packetId, qos)
    if (client.inbound.idle) {
      this.#complete(client, message, packetId, qos, refusal)
      return null
    }
    message.own()
    return { message, packetId, qos, decided: true, verdict: refusal }
  }

  /** Asks plugins for their verdict. Apart from `handle`, so that what the callbacks remember is made only here. */
  #ask(client: Connection, message: Message, packetId: number, qos: 0 | 1 | 2): PendingPublish | null {
    const host = this.#host
    const { topic, properties } = message
    // What a tap does to the properties' own fields is not seen, so they are encoded anew.
    if (properties !== undefined) message.changed()
    const pending: PendingPublish = { message, packetId, qos, decided: false, verdict: undefined }
    const { changes } = host.authority
    let returned = false
    const decided = (): void => {
      pending.decided = true
      // Its rights may have been taken away while this was awaited: those to the topic name that the client gave.
      if (host.authority.changes !== changes) pending.verdict ??= publishFault(host, client, message, topic)
      if (returned) client.inbound.drain()
    }
    host.hooks.onPublish.callAsync(client, message, (_error, verdict) => {
      pending.verdict = verdict ?? changeFault(host, topic, properties, message)
      message.qos = loweredQoS(qos, message.qos)
      if (host.matchUsed && pending.verdict === undefined) {
        message.own()
        host.hooks.onMatch.callAsync(message, client, decided)
      } else {
        decided()
      }
    })
    returned = true
    if (pending.decided && client.inbound.idle) {
      this.complete(client, pending)
      return null
    }
    // The read buffer is overwritten before its turn comes.
    message.own()
    return pending
  }

  complete(client: Connection, { message, packetId, qos, verdict }: PendingPublish): void {
    this.#complete(client, message, packetId, qos, verdict)
  }

  #complete(client: Connection, message: Message, packetId: number, qos: 0 | 1 | 2, verdict: PublishVerdict | undefined): void {
    const ends = verdict === 'drop' || verdict === 'kept'
    if (verdict !== undefined && !ends) return refuse(this.#host, client, message, packetId, qos, toRefusal(verdict))
    const { dispatcher } = this.#host
    const session = client.session!
    if (verdict === 'drop') this.#host.drop(client.clientId, message, 'refused')
    const received = qos === 2 && session.durable ? { session, packetId } : null
    const receipt = ends ? dispatcher.remember(message, received) : dispatcher.dispatch(message, session, received)
    if (qos === 0) return
    const { tellUnmatched } = this.#host.settings.mqtt
    const tells = !ends && (tellUnmatched === 'always' || (tellUnmatched === 'puback' && qos === 1))
    const reasonCode = tells && receipt?.matched === false ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success
    client.acks.acknowledge(qos, packetId, reasonCode, undefined, receipt, message)
  }
}

function messageOf({ clientId, username }: Connection, publish: InboundPublish, topic: string, receivedAt: number): Message {
  const { qos, retain, properties } = publish
  return new Message({ topic, payload: noPayload, qos, retain, properties, origin: 'client', clientId, username, receivedAt }, publish)
}

const noPayload = Buffer.alloc(0)

function refuse(host: HandlerHost, client: Connection, message: Message, packetId: number, qos: 0 | 1 | 2, refusal: Refusal): void {
  host.drop(client.clientId, message, 'refused', publishAckCode(refusal.reasonCode))
  const denied = consequenceOf(refusal)
  if (denied === 'close' || (denied === 'refuse' && client.version !== 5 && host.settings.mqtt.deniedPublish === 'close')) {
    if (qos === 2) client.acks.abandon(packetId)
    client.close(refusal.reasonCode, `publish to ${message.topic} refused`)
    return
  }
  if (client.version !== 5 || denied === 'drop') {
    if (qos === 0) return
    // 3.1.1 has no way to say no in an acknowledgement [MQTT-3.3.5-2].
    const session = client.session!
    const receipt = host.dispatcher.remember(message, qos === 2 && session.durable ? { session, packetId } : null)
    client.acks.acknowledge(qos as 1 | 2, packetId, ReasonCode.Success, undefined, receipt, message)
  } else if (qos > 0) {
    client.acks.acknowledge(qos as 1 | 2, packetId, publishAckCode(refusal.reasonCode), textOf(refusal), null, message)
  }
}

/** The topic name that a topic alias stands for; remembers a new one. Aliases end with the connection and are never passed on. */
function resolveAlias(client: Connection, aliasMax: number, packet: InboundPublish): string {
  const alias = packet.properties?.topicAlias
  if (alias === undefined) return packet.topic
  if (alias > aliasMax) {
    throw new MqttError(ReasonCode.TopicAliasInvalid, `topic alias ${alias} is above the Topic Alias Maximum`) // [MQTT-3.3.2-9]
  }
  packet.properties!.topicAlias = undefined as never
  delete packet.properties!.topicAlias
  client.aliases ??= []
  if (packet.topic !== '') {
    client.aliases[alias] = packet.topic
    return packet.topic
  }
  const topic = client.aliases[alias]
  if (topic === undefined) throw new MqttError(ReasonCode.ProtocolError, `topic alias ${alias} stands for nothing yet`) // 3.3.2.3.4
  return topic
}
