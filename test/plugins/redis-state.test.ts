import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

async function opened(): Promise<TestRedisStore> {
  const store = await TestRedisStore.open({ url: server.url }, new SystemClock())
  onTestFinished(() => store.crash())
  return store
}

test('what another program keeps under the name of the state refuses the state, and nothing else; what is known goes on holding', async () => {
  const store = await opened()
  const { state, writers, link } = store
  const key = writers.keys.state
  await state.set('ban/id/a', 'x')
  await server.call('SET', key, 'somebody else')
  await expect(state.set('ban/id/b', 'y')).rejects.toMatchObject({
    code: 'ERR_MESSAGE_REFUSED',
    message: expect.stringContaining('WRONGTYPE'),
  })
  await expect(state.delete('ban/id/a')).rejects.toMatchObject({ code: 'ERR_MESSAGE_REFUSED' })
  await state.look()
  expect([state.get('ban/id/a')?.value, state.get('ban/id/b'), link.up]).toEqual(['x', undefined, true])
  expect(writers.refusals.counts.wrongType).toBeGreaterThan(0)
  await store.sessions.writes.command('set', 'other', ['1'])
  await server.call('DEL', key)
  // What had been kept is written again.
  await eventually(async () => {
    await state.look()
    return (await server.call('HLEN', key)) === 2
  })
})

test('an entry of a newer version is left where it is, and the others are read; what has expired goes, and only that', async () => {
  await server.call('FLUSHALL')
  const one = await opened()
  const key = one.writers.keys.state
  await one.state.set('a', 'x')
  await server.call('HSET', key, 'knewer', '[9,null,{"more":1}]', 'kold', '[1,1000,"long over"]', 'v', 7)
  await one.state.look()
  expect(one.state.entries('').map(entry => entry.key)).toEqual(['a'])
  expect(one.writers.refusals.counts.damaged).toBe(1)
  await eventually(async () => (await server.call('HEXISTS', key, 'kold')) === 0)
  expect(await server.call('HGET', key, 'knewer')).toBe('[9,null,{"more":1}]')
  // Put anew by another node in the moment in which it expires: the new one stays.
  const other = await opened()
  await one.state.set('b', 'short', one.writers.time.now() - one.writers.time.shift + 50)
  await other.state.look()
  await other.state.set('b', 'long')
  await eventually(async () => {
    await one.state.look()
    return one.state.get('b')?.value === 'long'
  })
  expect(await server.call('HGET', key, 'kb')).toBe('[1,null,"long"]')
})
