import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import type { Config } from '../../presets/index.ts'
import { startBroker } from '../support/broker.ts'

/** A broker that lets nobody publish to `secret`, by the rights or by the verdict of a plugin. */
async function guarded(by: 'rights' | 'verdict', config: Config = {}) {
  const broker = await startBroker(config)
  const { hooks } = broker
  if (by === 'rights') hooks.onAuthorize.tap('test', (_publisher, action, topic) => !(action === 'publish' && topic === 'secret'))
  else
    hooks.onPublish.tap('test', (_publisher, { topic }): PublishVerdict | undefined =>
      topic === 'secret' ? ReasonCode.QuotaExceeded : undefined,
    )
  const reader = await broker.connect()
  await reader.subscribe('#', 2)
  return { ...broker, reader }
}

for (const by of ['rights', 'verdict'] as const) {
  for (const cleanStart of [true, false]) {
    const session = cleanStart ? 'clean' : 'stored'
    test(`acknowledges a publish that is denied by ${by} as if it were not, and drops it: ${session} session [MQTT3-3.3.5-2]`, async () => {
      const { connect, reader } = await guarded(by)
      const writer = await connect({ cleanStart })
      await writer.publish('secret', 'zero', { qos: 0, retain: true })
      await writer.publish('secret', 'one', { qos: 1, retain: true })
      await writer.publish('secret', 'two', { qos: 2, retain: true })
      await writer.publish('open', 'seen', { qos: 1 })
      expect(await reader.payloads()).toEqual(['seen'])
      const late = await connect()
      await late.subscribe('secret')
      expect(await late.payloads()).toEqual([])
    })
  }

  for (const qos of [0, 1, 2] as const) {
    test(`closes on a QoS ${qos} publish that is denied by ${by}, where the broker is told to close [MQTT3-3.3.5-2]`, async () => {
      const { connect, reader } = await guarded(by, { mqtt: { deniedPublish: 'close' } })
      const writer = await connect()
      writer.sendPublish('secret', 'x', { qos })
      await writer.ended()
      expect(writer.heard.map(({ type }) => type)).toEqual([PacketType.Connack])
      expect(await reader.payloads()).toEqual([])
    })
  }
}

test('says PUBREC again, and still drops it, when a denied QoS 2 message is sent again on the next connection', async () => {
  const { connect, reader } = await guarded('rights')
  const first = await connect({ clientId: 'writer', cleanStart: false })
  first.sendPublish('secret', 'x', { qos: 2, packetId: 3 })
  await first.next(PacketType.Pubrec)
  first.drop()
  const again = await connect({ clientId: 'writer', cleanStart: false })
  again.sendPublish('secret', 'x', { qos: 2, packetId: 3, dup: true })
  await again.next(PacketType.Pubrec)
  again.ack(PacketType.Pubrel, 3)
  await again.next(PacketType.Pubcomp)
  expect(await reader.payloads()).toEqual([])
})

test('counts and announces a denied publish', async () => {
  const { connect, hooks, broker } = await guarded('rights')
  const dropped: string[] = []
  hooks.onDrop.tap('test', (_clientId, message, reason) => void dropped.push(`${message.topic} ${reason}`))
  await (await connect()).publish('secret', 'x', { qos: 1 })
  expect(dropped).toEqual(['secret refused'])
  expect(broker.counters.dropped.refused).toBe(1)
})

test('refuses a client that publishes to $SYS', async () => {
  const { connect, reader } = await guarded('rights')
  await reader.subscribe('$SYS/#')
  const writer = await connect()
  await writer.publish('$SYS/broker/version', 'x', { qos: 1 })
  expect(await reader.payloads()).toEqual([])
})

test('drops the will of a client that may not publish to its topic', async () => {
  const { connect, reader, advance } = await guarded('rights')
  const client = await connect({ will: { topic: 'secret', retain: true } })
  client.drop()
  await advance(1000)
  expect(await reader.payloads()).toEqual([])
})

test('closes again on a denied QoS 2 publish that comes again on the next connection, where the broker is told to close [MQTT3-3.3.5-2]', async () => {
  const { connect } = await guarded('rights', { mqtt: { deniedPublish: 'close' } })
  for (const dup of [false, true]) {
    const writer = await connect({ clientId: 'writer', cleanStart: false })
    writer.sendPublish('secret', 'x', { qos: 2, packetId: 5, dup })
    await writer.ended()
  }
})
