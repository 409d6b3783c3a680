import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'

const topics = Array.from({ length: 1000 }, (_, i) => `r/${String(i).padStart(4, '0')}`)
const payload = Buffer.alloc(2048, 'x')

async function keep({ broker }: TestBroker): Promise<void> {
  for (const topic of topics) await broker.publish({ topic, payload, qos: 1, retain: true })
}

/** Turns of the event loop until nothing has been sent in ten of them; what was sent in each. */
async function turnsOf({ broker }: TestBroker): Promise<number[]> {
  const turns: number[] = []
  for (let idle = 0, before = broker.counters.bytesSent; idle < 10; before = broker.counters.bytesSent) {
    await new Promise(setImmediate)
    const sent = broker.counters.bytesSent - before
    turns.push(sent)
    idle = sent === 0 ? idle + 1 : 0
  }
  return turns
}

test.each([
  ['the same filter', () => 'r/#'],
  ['filters that are all different', (i: number) => ['r/#', 'r/+', '+/#', '+/+', '#'][i % 5]!],
])(
  '100 clients that ask for everything at once, by %s, and acknowledge nothing: a bounded amount for each, and in each turn',
  async (_what, filter) => {
    const kit = await startBroker()
    await keep(kit)
    const { broker, connect } = kit
    const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => connect({ clientId: `c${i}` })))
    const other = await connect({ clientId: 'other' })
    for (const [i, client] of clients.entries()) {
      client.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [{ ...request, filter: filter(i) }], properties: undefined })
    }
    // A client's ping does not wait for all that.
    other.send({ type: PacketType.Pingreq })
    await other.next(PacketType.Pingresp)
    const inFlight = () => clients.map(({ heard: _heard }, i) => broker.clientOf(`c${i}`)!.inFlight)
    const early = inFlight().reduce((sum, count) => sum + count, 0)
    const turns = await turnsOf(kit)
    const late = inFlight()
    expect(Math.max(...turns)).toBeLessThan(300_000)
    expect(early).toBeLessThan(late.reduce((sum, count) => sum + count, 0))
    expect(Math.max(...late)).toBeLessThanOrEqual(64)
    expect(Math.min(...late)).toBeGreaterThan(50)
    // Acknowledged, it goes on, and each gets everything.
    const first = clients[0]!
    const got = new Set<string>()
    while (got.size < topics.length) got.add((await first.receive()).topic)
  },
)

const request = { qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }

test('short of memory, replays go on by 32 KiB in a quarter of a second, all together', async () => {
  const memory = { max: 'auto' as const, interval: '1s', refuseAt: 0, pauseAt: 0, dropAt: 100, disconnectAt: 100 }
  const kit = await startBroker({ limits: { memory } })
  await keep(kit)
  const { broker, connect, advance } = kit
  const clients = [await connect(), await connect()]
  await advance(2000)
  const before = broker.counters.bytesSent
  for (const client of clients) await client.subscribe('r/#', 0)
  await settled()
  const steps: number[] = []
  for (let i = 0; i < 5; i++) {
    const from = broker.counters.bytesSent
    await advance(250)
    await settled()
    steps.push(broker.counters.bytesSent - from)
  }
  expect(broker.counters.bytesSent - before).toBeGreaterThan(5 * 20_000)
  for (const step of steps) expect(step).toBeLessThan(40_000)
})

test('a message that is retained anew while replays wait for their readers is not lost, and nothing older comes behind it', async () => {
  const kit = await startBroker()
  await keep(kit)
  const { broker, connect } = kit
  const client = await connect({ clientId: 'reader' })
  await client.subscribe('r/#', 1)
  await turnsOf(kit)
  for (const topic of topics) await broker.publish({ topic, payload: 'new', qos: 1, retain: true })
  const last = new Map<string, string>()
  while (last.size < topics.length || [...last.values()].some(value => value !== 'new')) {
    const { topic, payload: value } = await client.receive()
    if (last.get(topic) === 'new') expect(value.toString()).toBe('new')
    last.set(topic, value.length === 3 ? 'new' : 'old')
  }
  for (const value of await client.payloads()) expect(value).toBe('new')
})

test('on disk, those who ask for the same get the same message: it is read once, until it is retained anew', async () => {
  const { broker } = await startBroker({ memory: false, disk: { path: await folderWith() } })
  for (const topic of ['a/b', 'a/c']) await broker.publish({ topic, payload: 'x', qos: 1, retain: true })
  const store = broker.services.get('retained')
  const read = async (filter: string) => (await store.match(filter).next(10)).messages
  const first = await read('a/#')
  const second = await read('+/+')
  expect(second.map(({ topic }) => topic)).toEqual(['a/b', 'a/c'])
  for (const [i, message] of second.entries()) expect(message).toBe(first[i])
  await broker.publish({ topic: 'a/b', payload: 'y', qos: 1, retain: true })
  const third = await read('a/#')
  expect(third.map(message => `${message.topic} ${message.payload}`)).toEqual(['a/b y', 'a/c x'])
  expect(third[1]).toBe(first[1])
  await broker.publish({ topic: 'a/b', payload: '', qos: 1, retain: true })
  expect((await read('a/#')).map(({ topic }) => topic)).toEqual(['a/c'])
})
