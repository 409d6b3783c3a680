import { expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { settled, startBroker } from '../support/broker.ts'
import { connectPacket, publishBytes, type TestClient } from '../support/client.ts'

// Goal: one session with thousands of filters that all match, and one publisher who publishes to a new topic name each time, stop nobody else.
// Method: turns of the event loop are counted by what has been routed when somebody else is answered.

const levels = 13
const common = Array.from({ length: levels }, () => 'x').join('/')
const overlapping = Array.from(
  { length: 2 ** levels },
  (_, i) => `${Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')}/+`,
)

/** A session with 8,192 filters, and how many messages have been routed. */
async function start(asks: boolean) {
  const { connect, open, hooks } = await startBroker({ mqtt: { subscriptionsMax: null } })
  let routed = 0
  hooks.onRoute.tap('test', () => void (routed += 1))
  if (asks) hooks.onPublish.tapPromise('test', () => new Promise(resolve => setImmediate(resolve)))
  const [holder, publisher, other] = [await connect(), await connect(), await connect()]
  expect((await holder.subscribe(overlapping)).every(code => code === 0)).toBe(true)
  return { open, holder, publisher, other, routed: () => routed }
}

/** How many had been routed when somebody else was answered, who asked behind them all. */
async function routedBeforeAnswer(other: TestClient, routed: () => number): Promise<number> {
  const answered = other.next(PacketType.Pingresp).then(routed)
  other.send({ type: PacketType.Pingreq })
  return answered
}

test.each([
  ['at once', false],
  ['when plugins have said yes', true],
] as const)(
  '60 publishes to new topic names, each matched by 8,192 filters of one session, are routed %s and let others be answered meanwhile',
  async (_when, asks) => {
    const { holder, publisher, other, routed } = await start(asks)
    publisher.stream.write(Buffer.concat(Array.from({ length: 60 }, (_, i) => publishBytes(`${common}/${i}`, String(i)))))
    expect(await routedBeforeAnswer(other, routed)).toBeLessThan(60)
    await expect.poll(routed).toBe(60)
    await settled()
    // Each once, in order, and nothing is lost where the publisher goes meanwhile.
    expect(await holder.payloads()).toEqual(Array.from({ length: 60 }, (_, i) => String(i)))
  },
)

test('60 publishes that stand behind their CONNECT let others be answered meanwhile', async () => {
  const { open, holder, other, routed } = await start(false)
  const publisher = open(4)
  const connect = encodePacket(connectPacket({ clientId: 'eager' }), 4)
  publisher.stream.write(Buffer.concat([connect, ...Array.from({ length: 60 }, (_, i) => publishBytes(`${common}/${i}`, String(i)))]))
  await expect.poll(routed).toBeGreaterThan(0)
  expect(await routedBeforeAnswer(other, routed)).toBeLessThan(60)
  await expect.poll(routed).toBe(60)
  await settled()
  expect(await holder.payloads()).toEqual(Array.from({ length: 60 }, (_, i) => String(i)))
})

test('the wills of 60 clients that go at once let others be answered meanwhile', async () => {
  const { open, holder, other, routed } = await start(false)
  const dying = Array.from({ length: 60 }, () => open(4))
  for (const [i, client] of dying.entries()) await client.connect({ clientId: `dying-${i}`, will: { topic: `${common}/${i}` } })
  for (const client of dying) client.drop()
  await expect.poll(routed).toBeGreaterThan(0)
  expect(await routedBeforeAnswer(other, routed)).toBeLessThan(60)
  await expect.poll(routed).toBe(60)
  await settled()
  expect(await holder.payloads()).toHaveLength(60)
})

test('60 publishes that a thousand shared groups of one session get each let others be answered meanwhile', async () => {
  const { connect, hooks } = await startBroker()
  let routed = 0
  hooks.onRoute.tap('test', () => void (routed += 1))
  const [holder, publisher, other] = [await connect(), await connect(), await connect()]
  expect((await holder.subscribe(Array.from({ length: 1000 }, (_, i) => `$share/g${i}/#`))).every(code => code === 0)).toBe(true)
  publisher.stream.write(Buffer.concat(Array.from({ length: 60 }, (_, i) => publishBytes('same', String(i)))))
  expect(await routedBeforeAnswer(other, () => routed)).toBeLessThan(60)
  await expect.poll(() => routed).toBe(60)
  await settled()
  expect(await holder.payloads()).toHaveLength(60_000)
})

test('what stands behind waits its turn, and a publisher that leaves has sent all that it wrote', async () => {
  const { holder, publisher } = await start(false)
  publisher.stream.write(Buffer.concat(Array.from({ length: 20 }, (_, i) => publishBytes(`${common}/${i}`, String(i)))))
  publisher.disconnect()
  await publisher.closed
  expect(await holder.payloads()).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
})
