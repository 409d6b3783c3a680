import { expect, onTestFinished, test } from 'vitest'
import { queuedBytes } from '../../core/sessions/queue-policy.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf, subscriptionOf } from '../contracts/suite/sessions-harness.ts'
import { eventually } from '../support/eventually.ts'
import { RedisServer } from '../support/redis.ts'
import { TestRedisStore } from '../support/redis-store.ts'

async function storeOn(server: RedisServer, options: object = {}): Promise<TestRedisStore> {
  const store = await TestRedisStore.open({ url: server.url, ...options }, new ManualClock(Date.now()))
  onTestFinished(() => store.crash())
  return store
}

async function serverOf(): Promise<RedisServer> {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  return server
}

const target = (clientId: string, epoch: number) =>
  ({ clientId, epoch, packetId: 0, qos: 1, retain: false, identifiers: null, group: null }) as const

test('no more writes wait for a Redis that hangs than redis.pendingMax; what is beyond is refused at once, and counted', async () => {
  const server = await serverOf()
  const { sessions, link } = await storeOn(server, { pendingMax: 10 })
  const { epoch } = await sessions.claim({
    clientId: 'reader',
    node: 1,
    user: null,
    userOnly: false,
    cleanStart: false,
    expiryMs: 60_000,
    will: null,
  })
  await sessions.subscribe({ clientId: 'reader', epoch }, [subscriptionOf('t')])
  server.freeze()
  const waiting = Array.from({ length: 10 }, (_, i) => sessions.append(messageOf(String(i)), [target('reader', epoch)], null))
  await expect(sessions.append(messageOf('too many'), [target('reader', epoch)], null)).rejects.toBeInstanceOf(StoreAwayError)
  expect(link.refused).toBe(1)
  server.thaw()
  await Promise.all(waiting)
  await sessions.append(messageOf('again'), [target('reader', epoch)], null)
  const page = await sessions.page({ clientId: 'reader', epoch }, 0, 100)
  expect(page.map(({ message }) => String(message?.payload))).toEqual([...Array.from({ length: 10 }, (_, i) => String(i)), 'again'])
})

test('bodies that no queue refers to any more are swept when they are old, and no others', async () => {
  const server = await serverOf()
  const { sessions } = await storeOn(server)
  const targets = []
  for (const clientId of ['one', 'two', 'three']) {
    const { epoch } = await sessions.claim({
      clientId,
      node: 1,
      user: null,
      userOnly: false,
      cleanStart: false,
      expiryMs: 60_000,
      will: null,
    })
    targets.push(target(clientId, epoch))
  }
  await sessions.append(messageOf('x'.repeat(1000)), targets.slice(0, 2), null)
  await sessions.append(messageOf('y'.repeat(1000)), targets, null)
  const bodies = async () => (await server.call('KEYS', 'mqttx:body:*')) as string[]
  expect(await bodies()).toHaveLength(2)
  // What a crash between two slots of Redis Cluster leaves: the queue has gone, and its hold on the body has not.
  await server.call('DEL', 'mqttx:client:pubmsg:{one}')
  await server.call('DEL', 'mqttx:client:pubmsg:{two}')
  expect(await sessions.bodies.sweep()).toBe(0)
  expect(await bodies()).toHaveLength(2)
  expect(await sessions.bodies.sweep(Date.now() + 3_600_000)).toBe(4)
  await eventually(async () => (await bodies()).length === 1)
  const page = await sessions.page(targets[2]!, 0, 10)
  expect(page.map(({ message }) => String(message?.payload).length)).toEqual([1000])
})

test('sessions that Redis itself has cleared away, because no broker ran when they expired, count no longer after the next start', async () => {
  const server = await serverOf()
  const first = await storeOn(server)
  for (const clientId of ['kept', 'cleared']) {
    const claim = { clientId, node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }
    const { epoch } = await first.sessions.claim(claim)
    await first.sessions.append(messageOf('x'), [target(clientId, epoch)], null)
  }
  const before = await first.sessions.totals()
  expect(before).toMatchObject({ sessions: 2, messages: 2 })
  await server.call('DEL', 'mqttx.session.key:{cleared}', 'mqttx:client:pubmsg:{cleared}')
  const second = await storeOn(server)
  expect(await second.sessions.totals()).toEqual({ sessions: 1, messages: 1, bytes: before.bytes / 2 })
  // Nothing is put right twice, and what comes then is counted.
  const third = await storeOn(server)
  await third.sessions.append(messageOf('x'), [target('kept', 0)], null)
  expect(await first.sessions.totals()).toEqual({ sessions: 1, messages: 2, bytes: before.bytes })
})

test.each([65_534, 65_535, 65_536, 70_000])(
  'a message that came by %i subscriptions is kept with all their identifiers, and counts for them',
  async count => {
    const server = await serverOf()
    const { sessions } = await storeOn(server)
    const claim = { clientId: 'reader', node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }
    const { epoch } = await sessions.claim(claim)
    const identifiers = Array.from({ length: count }, (_, i) => i + 1)
    await sessions.append(messageOf('x'), [{ ...target('reader', epoch), identifiers }], null)
    const [entry] = await sessions.page({ clientId: 'reader', epoch }, 0, 10)
    expect(entry!.identifiers).toEqual(identifiers)
    expect(String(entry!.message.payload)).toBe('x')
    expect((await sessions.totals()).bytes).toBe(queuedBytes(messageOf('x'), identifiers))
  },
)
