import { expect, onTestFinished, test } from 'vitest'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { RedisServer } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'

/** This process does nothing at all, as one that is stopped. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

async function storeOn(options: object): Promise<{ server: RedisServer; store: TestRedisStore; interruptions: Error[] }> {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const store = await TestRedisStore.open({ url: server.url, ...options }, new ManualClock(Date.now()))
  onTestFinished(() => store.crash())
  const interruptions: Error[] = []
  store.link.use({ admit: async () => {}, ready: () => {}, interrupted: error => interruptions.push(error) })
  return { server, store, interruptions }
}

test('a process that stood still longer than redis.commandTimeout reads the answers that have come meanwhile: Redis is not away', async () => {
  const { store, interruptions } = await storeOn({ commandTimeout: 100 })
  // A cluster that believed Redis away would serve its clients with what it knows, though the others go on without it.
  const replies = store.link.send('a', [['SET', 'a', '1']], false)
  await new Promise(resolve => setImmediate(resolve))
  standStill(500)
  expect(await replies).toEqual([Buffer.from('OK')])
  expect(store.link.up).toBe(true)
  expect(interruptions).toEqual([])
})

test('a Redis that gives no answer within redis.commandTimeout is away', async () => {
  const { server, store, interruptions } = await storeOn({ commandTimeout: 100 })
  server.freeze()
  onTestFinished(() => server.thaw())
  const [reply] = await store.link.send('a', [['SET', 'a', '1']], false)
  expect(reply).toEqual(new Error('Command timed out'))
  await expect.poll(() => interruptions.map(({ message }) => message)).toEqual(['Command timed out'])
})
