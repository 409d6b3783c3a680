import { expect, test } from 'vitest'
import { type BridgeRecord, type BridgeTarget, definePlugin, RecordsRefusedError } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { bridgingBroker } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'

/** A system that a plugin of one's own speaks with: here a list, which takes nothing while it is `away`. */
function listTarget(): {
  readonly plugin: ReturnType<ReturnType<typeof definePlugin>>
  readonly taken: BridgeRecord[]
  away: boolean
  stuck: boolean
  /** What it throws of a batch in which there is such a payload. */
  readonly throws: Map<string, Error>
  attempts: number
} {
  const system = {
    taken: [] as BridgeRecord[],
    away: false,
    stuck: false,
    throws: new Map<string, Error>(),
    attempts: 0,
    plugin: definePlugin({
      name: 'listBridge',
      requires: ['bridge'],
      apply({ services }) {
        const target: BridgeTarget = {
          name: 'list',
          place: 'memory',
          legalName: text => text,
          createSender: () => ({
            async send(records) {
              system.attempts += 1
              if (system.stuck) await new Promise(() => {})
              if (system.away) throw new Error('it is away')
              for (const { value } of records) {
                const error = system.throws.get(String(value))
                if (error !== undefined) throw error
              }
              const bad = records.findIndex(({ value }) => String(value) === 'bad')
              if (bad !== -1) throw new RecordsRefusedError(records.length > 4 ? [] : [bad], 'bad is not taken')
              system.taken.push(...records)
            },
            close: async () => {},
          }),
        }
        services.get('bridge').add(target)
      },
    })(),
  }
  return system
}

const values = (records: readonly BridgeRecord[]) => records.map(({ value }) => String(value))

test('a target of a plugin gets what the rules name it for, in order, around what it refuses', async () => {
  const list = listTarget()
  const { connect, drops } = await bridgingBroker({ topics: [{ filter: 'a', target: 'list', ack: 'kafka' }] }, { plugins: [list.plugin] })
  const client = await connect()
  const sent = ['1', '2', 'bad', '3', '4', '5', 'bad', '6']
  const results = await Promise.allSettled(sent.map(text => client.publishAsync('a', text, { qos: 1 })))
  expect(values(list.taken)).toEqual(['1', '2', '3', '4', '5', '6'])
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual(sent.map(text => text !== 'bad'))
  expect(drops.map(({ clientId, reason }) => `${clientId} ${reason}`)).toEqual(['bridge:list bridgeRefused', 'bridge:list bridgeRefused'])
})

test.each([
  ['an encoder throws', new TypeError('value.map is not a function')],
  ['nobody has thought of', new Error('SOMETHING_NEW')],
])('an error that %s, again and again for one message while others get through, refuses that one', async (_what, error) => {
  const list = listTarget()
  list.throws.set('poison', error)
  const { connect, drops, lines } = await bridgingBroker(
    { topics: [{ filter: 'a', target: 'list', ack: 'kafka' }] },
    { plugins: [list.plugin] },
  )
  const client = await connect()
  const sent = [...Array.from({ length: 20 }, (_, index) => String(index)), 'poison', 'x', 'poison', 'y']
  const results = await Promise.allSettled(sent.map(text => client.publishAsync('a', text, { qos: 1 })))
  expect(results.map(result => (result.status === 'rejected' ? result.reason.code : 0))).toEqual(
    sent.map(text => (text === 'poison' ? 0x83 : 0)),
  )
  expect(values(list.taken)).toEqual(sent.filter(text => text !== 'poison'))
  expect(drops.map(({ payload }) => payload)).toEqual(['poison', 'poison'])
  expect(lines.find(({ message }) => message.includes('is dropped'))?.message).toContain(`and others do not: ${error.message}`)
})

test('a message that fails alone waits, until another behind it gets through and tells that the system is there', async () => {
  const list = listTarget()
  list.throws.set('poison', new Error('SOMETHING_NEW'))
  const { connect, drops } = await bridgingBroker({ topics: [{ filter: 'a', target: 'list', ack: 'kafka' }] }, { plugins: [list.plugin] })
  const client = await connect()
  const poison = client.publishAsync('a', 'poison', { qos: 1 }).catch(error => error.code)
  await eventually(() => list.attempts > 10)
  expect(drops).toEqual([])
  await client.publishAsync('a', 'good', { qos: 1 })
  expect(await poison).toBe(0x83)
  expect(values(list.taken)).toEqual(['good'])
})

test('a system that takes nothing at all, for whatever reason, costs no message, and they stay in order', async () => {
  const list = listTarget()
  list.away = true
  const { connect, drops } = await bridgingBroker(
    { batchMessages: 50, retryMax: '100ms', topics: [{ filter: 'a', target: 'list', ack: 'kafka' }] },
    { plugins: [list.plugin] },
  )
  const client = await connect()
  const sent = Array.from({ length: 100 }, (_, index) => String(index))
  const all = Promise.all(sent.map(text => client.publishAsync('a', text, { qos: 1 })))
  // Long enough for each to have been tried alone.
  await eventually(() => list.attempts > 60)
  list.away = false
  await all
  expect(values(list.taken)).toEqual(sent)
  expect(drops).toEqual([])
})

test('what was acknowledged and is refused then is parked, as much as there is room for; it can be seen, sent once more, and dropped', async () => {
  const list = listTarget()
  const { connect, drops, lines, running } = await bridgingBroker(
    { parkedBytes: 1024, topics: [{ filter: 'a', target: 'list' }] },
    { plugins: [list.plugin], diskQueue: { path: await folderWith() } },
  )
  const client = await connect({ clientId: 'meter' })
  const parked = running.broker.services.get('bridge').parked('list')!
  for (const text of ['1', 'bad', '2', 'bad', '3']) await client.publishAsync('a', text, { qos: 1 })
  await eventually(() => parked.length === 2 && list.taken.length === 3)
  expect(drops).toEqual([])
  await eventually(() => parked.page(0, 10).length === 2)
  expect(parked.page(0, 1)).toMatchObject([{ clientId: 'meter', mqttTopic: 'a', topic: 'a', why: 'REFUSED: bad is not taken' }])
  expect(lines.filter(({ message }) => message.includes('is parked')).length).toBe(1)
  // What is refused once more is parked once more.
  expect(await parked.resend()).toBe(2)
  await eventually(() => parked.length === 2)
  // QoS 0 has no acknowledgement, so it is dropped at once.
  await client.publishAsync('a', 'bad', { qos: 0 })
  await eventually(() => drops.length === 1)
  while (drops.length === 1) await client.publishAsync('a', 'bad', { qos: 1 })
  expect(parked.bytes).toBeLessThanOrEqual(1024)
  expect(lines.some(({ message }) => message.includes('parkedBytes'))).toBe(true)
  await running.reload('messageBridge', { topics: [{ filter: 'a', target: 'list' }], parked: 'drop' })
  await eventually(() => parked.length === 0)
  await eventually(() => parked.page(0, 10).length === 0)
})

test('a name or a key that cannot be kept refuses that message alone', async () => {
  const list = listTarget()
  const { connect, drops } = await bridgingBroker(
    {
      topics: [
        { filter: 'long/#', target: 'list', ack: 'local', key: '{topic}{topic}' },
        { filter: '#', target: 'list', ack: 'local' },
      ],
    },
    { plugins: [list.plugin], diskQueue: { path: await folderWith() } },
  )
  const client = await connect()
  await expect(client.publishAsync(`long/${'x'.repeat(40_000)}`, 'too long', { qos: 1 })).rejects.toMatchObject({ code: 0x83 })
  await client.publishAsync('a', 'good', { qos: 1 })
  await eventually(() => list.taken.some(({ value }) => String(value) === 'good'))
  expect(drops.every(({ reason }) => reason === 'bridgeRefused')).toBe(true)
})

test('a target that nobody brings, and a name that can never be one, end the start with their cure', async () => {
  await expect(bridgingBroker({ topics: [{ filter: 'a', target: 'nats' }] })).rejects.toThrow(/topics\[0\]\.target: there is no nats/)
  await expect(bridgingBroker({ topics: [{ filter: 'a', to: 'a b' }] })).rejects.toThrow(/topics\[0\]\.to: kafka takes no name with "a b"/)
  await expect(bridgingBroker({ topics: [{ filter: 'a', to: '..' }] })).rejects.toThrow(/topics\[0\]\.to/)
  await expect(bridgingBroker({ topics: [{ filter: 'a/b', to: '{topic[2]}' }] })).rejects.toThrow(/a\/b have 2 levels/)
  await expect(bridgingBroker({ topics: [{ filter: 'a', to: '{toppic}' }, 'a/#/b'] })).rejects.toThrow(
    /toppic[\s\S]*topics\[1\]: "a\/#\/b" is no topic filter/,
  )
  await expect(bridgingBroker({ topics: [{ filter: 'a', ack: 'local' }] })).rejects.toThrow(/diskQueue/)
  await expect(bridgingBroker({ topics: ['a'], acks: 'leader' })).rejects.toThrow(/idempotent/)
  await expect(bridgingBroker({ topics: ['a'], sasl: { mechanism: 'plain' } })).rejects.toThrow(/username and password/)
})

test('ack none: what found no room while the target was away is counted, to the message', async () => {
  const list = listTarget()
  list.away = true
  const { connect, drops, running } = await bridgingBroker(
    { memoryMessages: 10, batchMessages: 5, topics: [{ filter: 'a', target: 'list', ack: 'none' }] },
    { plugins: [list.plugin] },
  )
  const client = await connect()
  for (let number = 0; number < 25; number++) await client.publishAsync('a', String(number), { qos: 1 })
  expect(drops.map(({ payload }) => payload)).toEqual(Array.from({ length: 15 }, (_, index) => String(index + 10)))
  expect(running.broker.counters.dropped.bridgeFull).toBe(15)
  list.away = false
  await eventually(() => list.taken.length === 10)
  expect(values(list.taken)).toEqual(Array.from({ length: 10 }, (_, index) => String(index)))
})

test('ack none, whenFull dropOldest: the newest stay', async () => {
  const list = listTarget()
  list.away = true
  const { connect, drops } = await bridgingBroker(
    { memoryMessages: 10, batchMessages: 1, linger: 0, whenFull: 'dropOldest', topics: [{ filter: 'a', target: 'list', ack: 'none' }] },
    { plugins: [list.plugin] },
  )
  const client = await connect()
  for (let number = 0; number < 25; number++) await client.publishAsync('a', String(number), { qos: 1 })
  expect(drops.length).toBe(15)
  list.away = false
  await eventually(() => list.taken.length === 10)
  // The first is on its way, and stays there.
  expect(values(list.taken)).toEqual(['0', ...Array.from({ length: 9 }, (_, index) => String(index + 16))])
})

test('ack kafka: a full bridge refuses with 0x97, and a publisher of MQTT 3.1.1 is disconnected so that it sends again', async () => {
  const list = listTarget()
  list.away = true
  const { connect, drops } = await bridgingBroker(
    { memoryMessages: 2, topics: [{ filter: 'a', target: 'list', ack: 'kafka' }] },
    { plugins: [list.plugin] },
  )
  const client = await connect()
  const held = [client.publishAsync('a', '0', { qos: 1 }), client.publishAsync('a', '1', { qos: 1 })]
  // Acknowledgements keep their order, so whoever has some waiting would hear of it behind them.
  const other = await connect()
  await expect(other.publishAsync('a', '2', { qos: 1 })).rejects.toMatchObject({ code: 0x97 })
  const old = await connect({ protocolVersion: 4 })
  const closed = new Promise<void>(resolve => old.once('close', () => resolve()))
  old.publish('a', '3', { qos: 1 }, () => {})
  await closed
  // Nothing is dropped: who published it has it.
  expect(drops).toEqual([])
  list.away = false
  await Promise.all(held)
  expect(values(list.taken)).toEqual(['0', '1'])
})

test('ack local: acknowledged means on disk, whatever the target does; more than memory holds waits there, in order', async () => {
  const list = listTarget()
  list.away = true
  const { connect, drops } = await bridgingBroker(
    { memoryMessages: 10, batchMessages: 7, topics: [{ filter: 'a', target: 'list' }] },
    { plugins: [list.plugin], diskQueue: { path: await folderWith() } },
  )
  const client = await connect()
  for (let number = 0; number < 100; number++) await client.publishAsync('a', String(number), { qos: number % 3 === 0 ? 2 : 1 })
  list.away = false
  const more = Promise.all(Array.from({ length: 100 }, (_, index) => client.publishAsync('a', String(index + 100), { qos: 1 })))
  await more
  await eventually(() => list.taken.length === 200)
  expect(values(list.taken)).toEqual(Array.from({ length: 200 }, (_, index) => String(index)))
  expect(drops).toEqual([])
})

test('ack local: a full queue refuses with 0x97, or drops its oldest', async () => {
  for (const whenFull of ['refuse', 'dropOldest'] as const) {
    const list = listTarget()
    list.away = true
    const { connect, drops, running } = await bridgingBroker(
      { queueBytes: 20_000, memoryMessages: 3, batchMessages: 2, whenFull, topics: [{ filter: 'a', target: 'list' }] },
      { plugins: [list.plugin], diskQueue: { path: await folderWith() } },
    )
    const client = await connect()
    const outcomes: boolean[] = []
    for (let number = 0; number < 30; number++) {
      const payload = String(number).padEnd(1000, ' ')
      outcomes.push(
        await client.publishAsync('a', payload, { qos: 1 }).then(
          () => true,
          error => {
            expect(error.code).toBe(0x97)
            return false
          },
        ),
      )
    }
    const kept = outcomes.filter(Boolean).length
    list.away = false
    if (whenFull === 'refuse') {
      expect(kept).toBeLessThan(30)
      await eventually(() => list.taken.length === kept)
      expect(drops).toEqual([])
      expect(values(list.taken).map(Number)).toEqual(Array.from({ length: kept }, (_, index) => index))
    } else {
      expect(kept).toBe(30)
      await eventually(() => list.taken.length + drops.length === 30)
      expect(drops.length).toBeGreaterThan(0)
      expect(drops.every(({ reason }) => reason === 'bridgeFull')).toBe(true)
      // The newest are all there, and those that are there are in order.
      const numbers = values(list.taken).map(Number)
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      expect(numbers.at(-1)).toBe(29)
    }
    await running.stop()
  }
})

test.each(['none', 'local'] as const)('ack %s, whenFull dropOldest: what could never fit costs no other its place', async ack => {
  const list = listTarget()
  list.away = true
  const { connect, drops } = await bridgingBroker(
    {
      memoryBytes: 10_000,
      queueBytes: 10_000,
      batchMessages: 1,
      linger: 0,
      whenFull: 'dropOldest',
      topics: [{ filter: 'a', target: 'list', ack }],
    },
    { plugins: [list.plugin], diskQueue: ack === 'local' ? { path: await folderWith() } : false },
  )
  const client = await connect()
  for (let number = 0; number < 5; number++) await client.publishAsync('a', String(number), { qos: 1 })
  const large = client.publishAsync('a', 'x'.repeat(20_000), { qos: 1 })
  if (ack === 'none') await large
  else await expect(large).rejects.toMatchObject({ code: 0x97 })
  expect(drops.map(({ payload }) => payload[0])).toEqual(ack === 'none' ? ['x'] : [])
  list.away = false
  await eventually(() => list.taken.length === 5)
  expect(values(list.taken)).toEqual(['0', '1', '2', '3', '4'])
})

test('what waits in memory when the broker stops goes to the disk, in front of what is there', async () => {
  const list = listTarget()
  list.away = true
  const home = await folderWith()
  const bridge = { memoryMessages: 10, batchMessages: 3, stopTimeout: 0, topics: [{ filter: 'a', target: 'list', ack: 'none' as const }] }
  const first = await bridgingBroker(bridge, { plugins: [list.plugin], diskQueue: { path: home } })
  const client = await first.connect()
  for (let number = 0; number < 30; number++) await client.publishAsync('a', String(number), { qos: 1 })
  await first.running.stop()
  expect(first.drops).toEqual([])
  const again = listTarget()
  await bridgingBroker(bridge, { plugins: [again.plugin], diskQueue: { path: home } })
  await eventually(() => again.taken.length === 30)
  expect(values(again.taken)).toEqual(Array.from({ length: 30 }, (_, index) => String(index)))
})

test('a target that never answers does not keep the broker from stopping, and what was with it is kept', async () => {
  const list = listTarget()
  list.stuck = true
  const home = await folderWith()
  const bridge = { linger: 0, stopTimeout: 0, topics: [{ filter: 'a', target: 'list', ack: 'none' as const }] }
  const first = await bridgingBroker(bridge, { plugins: [list.plugin], diskQueue: { path: home } })
  const client = await first.connect()
  await client.publishAsync('a', 'with it', { qos: 1 })
  await first.running.stop()
  const again = listTarget()
  await bridgingBroker(bridge, { plugins: [again.plugin], diskQueue: { path: home } })
  await eventually(() => again.taken.length === 1)
})

test('two names that fall together are said once', async () => {
  const { connect, lines } = await bridgingBroker({ brokers: ['127.0.0.1:1'], topics: [{ filter: '#', ack: 'none' }], stopTimeout: 0 })
  const client = await connect()
  for (const topic of ['a/b', 'a.b', 'a/b', 'a.b']) await client.publishAsync(topic, '', { qos: 1 })
  expect(lines.filter(({ message }) => message.includes('both go to a.b')).length).toBe(1)
})

test('a Kafka that is away at start is said at once, and the broker starts', async () => {
  const { lines } = await bridgingBroker({ brokers: ['127.0.0.1:1'], topics: ['a'], stopTimeout: 0 })
  const said = () => lines.find(({ level, message }) => level === 'warn' && message.includes('nothing answers there'))
  await eventually(() => said() !== undefined)
  expect(said()!.message).toMatch(
    /^messageBridge\.brokers: Kafka at 127\.0\.0\.1:1: .*correct messageBridge\.brokers; messages wait for it$/,
  )
})

test('a name that begins with _ by the words of a client is refused, unless the rule itself says so', async () => {
  const list = listTarget()
  const { connect, drops } = await bridgingBroker(
    {
      topics: [
        { filter: '#', target: 'list', ack: 'kafka' },
        { filter: '+/own', to: '{clientId}', target: 'list', ack: 'kafka' },
        { filter: 'a', to: '_wanted.{topic}', target: 'list', ack: 'kafka' },
        { filter: '_named/#', target: 'list', ack: 'kafka' },
        { filter: '_schemas', to: 'mqtt.{topic}', target: 'list', ack: 'kafka' },
      ],
    },
    { plugins: [list.plugin] },
  )
  const client = await connect({ clientId: '_client' })
  const refused = async (topic: string) => (await Promise.allSettled([client.publishAsync(topic, topic, { qos: 1 })]))[0].status
  for (const topic of ['_schemas', '__consumer_offsets', '_', 'x/own', '_named/x'])
    expect([topic, await refused(topic)]).toEqual([topic, 'rejected'])
  expect(await refused('a')).toBe('fulfilled')
  expect(list.taken.map(({ topic }) => topic).toSorted()).toEqual(['_named/x', '_wanted.a', 'a', 'mqtt._schemas', 'x/own'])
  expect(drops.map(({ payload, reason }) => `${payload} ${reason}`)).toEqual(
    ['_schemas', '__consumer_offsets', '_', 'x/own', '_named/x'].map(topic => `${topic} bridgeRefused`),
  )
})
