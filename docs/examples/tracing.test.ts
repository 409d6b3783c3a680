import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { propagation, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createTestBroker } from 'mqttx-broker/testing'
import { tracing } from './tracing.ts'

const exporter = new InMemorySpanExporter()
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
propagation.setGlobalPropagator(new W3CTraceContextPropagator())
beforeEach(() => exporter.reset())

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spans = () =>
  exporter.getFinishedSpans().map(span => {
    const { traceId, spanId } = span.spanContext()
    return { name: span.name, traceId, spanId, parent: span.parentSpanContext?.spanId, failed: span.status.code === SpanStatusCode.ERROR }
  })

test('a trace goes from the publisher through the broker to the subscriber', async t => {
  const broker = await createTestBroker({ plugins: [tracing()] })
  t.after(() => broker.stop())
  const reader = await broker.client('reader')
  await reader.subscribe('t', 1)
  const publisher = await broker.client('publisher')
  const userProperties: [string, string][] = [
    ['k', 'v'],
    ['traceparent', `00-${traceId}-b7ad6b7169203331-01`],
  ]
  await publisher.publish('t', 'x', { qos: 1, properties: { userProperties } })
  const { properties } = await reader.received()
  await broker.advance(0)
  const [publish, deliver] = spans()
  assert.deepEqual([publish!.name, publish!.traceId, publish!.parent], ['publish', traceId, 'b7ad6b7169203331'])
  assert.deepEqual([deliver!.name, deliver!.traceId, deliver!.parent], ['deliver', traceId, publish!.spanId])
  assert.deepEqual(properties?.userProperties, [
    ['k', 'v'],
    ['traceparent', `00-${traceId}-${publish!.spanId}-01`],
  ])
})

test('a refused message and one whose subscriber is lost end their spans with an error', async t => {
  const broker = await createTestBroker({ plugins: [tracing()] })
  t.after(() => broker.stop())
  broker.running.hooks.onPublish.tap('test', (_publisher, { topic }) => topic !== 'no' && undefined)
  const client = await broker.client('a')
  assert.equal(await client.publish('no', 'x', { qos: 1 }), 0x87)
  assert.deepEqual(
    spans().map(({ name, failed }) => [name, failed]),
    [['publish', true]],
  )
})

test('what begins no trace has none where that is asked for', async t => {
  const broker = await createTestBroker({ plugins: [tracing({ begin: false })] })
  t.after(() => broker.stop())
  const client = await broker.client('b')
  await client.publish('t', 'x', { qos: 1 })
  assert.deepEqual(spans(), [])
})
