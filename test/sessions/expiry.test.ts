import { expect, test } from 'vitest'
import { settled, startBroker } from '../support/broker.ts'

const day = 86_400_000
const keep = (sessionExpiry: number) => ({ version: 5, clientId: 'keeper', cleanStart: false, properties: { sessionExpiry } }) as const

test.each([
  ['the largest that ends', 0xffff_fffe, 136 * 365 * day],
  ['above what a timer of Node can wait', 3_000_000, 34 * day],
])('a session expiry of %s is waited for to the end, and not longer', async (_what, seconds, wait) => {
  const { connect, open, advance, clock } = await startBroker()
  const client = await connect({ ...keep(seconds), cleanStart: true })
  await client.subscribe('a', 1)
  client.drop()
  await settled()
  clock.sleep(wait)
  await advance(1000)
  const again = open(5)
  expect(await again.connect(keep(seconds))).toMatchObject({ sessionPresent: true })
  again.drop()
  await settled()
  clock.sleep(seconds * 1000)
  await advance(2000)
  expect(await open(5).connect(keep(seconds))).toMatchObject({ sessionPresent: false })
})

test('a session expiry of 0xFFFFFFFF never ends', async () => {
  const { connect, open, advance, clock } = await startBroker()
  const client = await connect(keep(0xffff_ffff))
  client.drop()
  await settled()
  clock.sleep(500 * 365 * day)
  await advance(2000)
  expect(await open(5).connect(keep(0xffff_ffff))).toMatchObject({ sessionPresent: true })
})

test('a session that began with Clean Start is kept as long as its expiry says, and what is published meanwhile with it', async () => {
  const { connect, broker } = await startBroker()
  const client = await connect({ version: 5, clientId: 'keeper', cleanStart: true, properties: { sessionExpiry: 60 } })
  await client.subscribe('a', 1)
  client.drop()
  await client.closed
  for (const payload of ['one', 'two']) await broker.publish({ topic: 'a', payload, qos: 1 })
  const again = await connect(keep(60))
  expect([(await again.receive()).payload.toString(), (await again.receive()).payload.toString()]).toEqual(['one', 'two'])
})
