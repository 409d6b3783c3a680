import { expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { connectPacket } from '../support/client.ts'
import { keptLog } from '../support/log.ts'

// Goal: whoever may not come in, and comes again and again, does not fill the log. Method: clients on streams in memory that name an address.

async function refusing() {
  const { lines, plugin } = keptLog()
  const kit = await startBroker({ log: false, plugins: [plugin], limits: false })
  kit.hooks.onAuthenticate.tap('test', (_client, { username }) => username === 'friend')
  const come = async (address: string, clientId = 'c', username = 'stranger'): Promise<void> => {
    const client = kit.open(5, address)
    client.send(connectPacket({ version: 5, clientId, username }))
    await client.closed
  }
  return { ...kit, come, ended: () => lines.filter(({ message }) => message === 'disconnected').map(({ fields }) => fields) }
}

test('refused clients are one line for each address and second, which counts those before it', async () => {
  const { come, ended, advance } = await refusing()
  for (let i = 0; i < 5; i++) await come('10.0.0.1', `c${i}`)
  await come('10.0.0.2')
  expect(ended()).toMatchObject([
    { clientId: 'c0', address: '10.0.0.1', code: 0x87 },
    { clientId: 'c', address: '10.0.0.2' },
  ])
  await advance(1000)
  await come('10.0.0.1', 'later')
  expect(ended().slice(2)).toMatchObject([{ clientId: 'later', address: '10.0.0.1', times: 5 }])
})

test('of a thousand addresses each has its own line in a second; those beyond have one together', async () => {
  const { come, ended, advance } = await refusing()
  for (let i = 0; i < 1100; i++) await come(`10.0.${i >> 8}.${i & 255}`)
  expect(ended()).toHaveLength(1001)
  // Those whose second is over make room.
  await advance(1000)
  for (let i = 0; i < 50; i++) await come(`10.1.0.${i}`)
  expect(ended()).toHaveLength(1051)
})

test('a client that was let in has its line, however often it comes', async () => {
  const { connect, ended } = await refusing()
  for (let i = 0; i < 5; i++) {
    const client = await connect({ version: 5, clientId: `friend-${i}`, username: 'friend' })
    client.drop()
    await client.closed
  }
  await expect.poll(() => ended().length).toBe(5)
})
