import { beforeEach, describe, expect, test } from 'vitest'
import { Message } from '../../core/messages/message.ts'
import type { QoS } from '../../core/protocol/constants.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { queuedBytes } from '../../core/sessions/message-queue.ts'
import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Due,
  type QueueEntry,
  type QueueLimits,
  type SessionKey,
  SessionLostError,
  type SessionStore,
  type StoredWill,
} from '../../core/sessions/session-store.ts'
import { ManualClock } from '../../core/time/manual-clock.ts'

/**
 * The contract of the `sessions` service (core/sessions/session-store.ts), for any owner: hand it a function that makes an empty one on
 * a clock. Verbs may answer at once or later, so every one is awaited.
 */
export function sessionsContract(name: string, create: (clock: ManualClock) => SessionStore | Promise<SessionStore>): void {
  describe(`sessions kept ${name}`, () => {
    let clock: ManualClock
    let store: SessionStore
    let dropped: string[]
    let lost: SessionKey[]
    let epochs: Map<string, number>

    async function open(limits: Partial<QueueLimits> = {}): Promise<void> {
      clock = new ManualClock()
      store = await create(clock)
      dropped = []
      lost = []
      epochs = new Map()
      const events = {
        dropped: (clientId: string, message: Message, reason: string) => void dropped.push(`${clientId} ${message.payload} ${reason}`),
        lost: (session: SessionKey) => void lost.push({ ...session }),
        appended: () => {},
      }
      await store.open(events, { messagesMax: 1000, bytesMax: 1_000_000, whenFull: 'dropNewest', ...limits })
    }

    beforeEach(() => open())

    const claim = async (request: Partial<ClaimRequest> = {}): Promise<Claim & SessionKey> => {
      const full = { clientId: 'c', node: 1, cleanStart: false, expiryMs: 60_000, will: null, ...request }
      const given = await store.claim(full)
      epochs.set(full.clientId, given.epoch)
      return { ...given, clientId: full.clientId }
    }
    const target = (fields: Partial<AppendTarget>): AppendTarget => {
      const { clientId = 'c' } = fields
      return { clientId, qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch: epochs.get(clientId) ?? 0, ...fields }
    }
    const page = async (session: SessionKey, position = 0, limit = 100): Promise<readonly QueueEntry[]> =>
      await store.page(session, position, limit)
    const payloads = async (session: SessionKey): Promise<string[]> =>
      (await page(session)).map(({ message }) => message.payload.toString())
    const append = async (payload: string, ...targets: Partial<AppendTarget>[]): Promise<void> => {
      await store.append(message(payload), targets.map(target), null)
    }
    const isLost = async (done: unknown): Promise<void> => {
      await expect(Promise.resolve(done)).rejects.toBeInstanceOf(SessionLostError)
    }

    test('are new at their first claim and present at the next; each claim has a higher epoch', async () => {
      const first = await claim()
      const second = await claim()
      const other = await claim({ clientId: 'd' })
      expect([first.present, second.present, other.present]).toEqual([false, true, false])
      expect(second.epoch).toBeGreaterThan(first.epoch)
    })

    test('are not kept where they end with their connection', async () => {
      await claim({ expiryMs: 0 })
      expect(await claim()).toMatchObject({ present: false })
    })

    test('end at a clean start, and say what they leave', async () => {
      const session = await claim({ will: will('w', 1000) })
      await store.subscribe(session, [subscription('a')])
      await append('shared', { group: 'g/a', packetId: 0 })
      await append('own', {})
      const { present, subscriptions, ended } = await claim({ cleanStart: true })
      expect({ present, subscriptions }).toEqual({ present: false, subscriptions: [] })
      expect(ended?.clientId).toBe('c')
      expect(ended?.shared.map(entry => entry.message.payload.toString())).toEqual(['shared'])
      expect(ended?.will?.message.payload.toString()).toBe('w')
      expect(dropped).toEqual(['c own sessionEnded'])
      expect(await page(await claim())).toEqual([])
    })

    test('keep subscriptions, the newest of each filter, for claims and for the routing table', async () => {
      const session = await claim()
      await store.subscribe(session, [subscription('a', 1), subscription('b', 1), subscription('a', 2)])
      await store.unsubscribe(session, ['b', 'never'])
      expect((await claim()).subscriptions).toEqual([subscription('a', 2)])
      const all = []
      for await (const one of store.sessions()) all.push(one)
      expect(all).toEqual([{ clientId: 'c', subscriptions: [subscription('a', 2)] }])
    })

    test('take no write from an owner that has lost them', async () => {
      const old = await claim()
      await append('kept', { packetId: 1 })
      const owner = await claim()
      const body = message('refused')
      for (const verb of [
        () => store.page(old, 0, 10),
        () => store.send(old, 1, 9),
        () => store.ack(old, 1),
        () => store.remove(old, 1),
        () => store.release(old, 1),
        () => store.forget(old, 1),
        () => store.subscribe(old, [subscription('a')]),
        () => store.unsubscribe(old, ['a']),
        () => store.close(old, 1, true),
        () => store.end(old),
        () => store.append(body, [target({})], { session: old, packetId: 5 }),
      ])
        await isLost(verb())
      // Nothing of a refused append is kept, not even for others.
      expect(await payloads(owner)).toEqual(['kept'])
      expect((await claim()).receivedIds).toEqual([])
    })

    test('keep a message without its packet identifier where the owner who gave that has lost the session', async () => {
      const old = await claim()
      const owner = await claim()
      await append('live', { packetId: 1, epoch: old.epoch })
      await append('from anybody', { epoch: old.epoch })
      expect(lost).toEqual([{ clientId: 'c', epoch: old.epoch }])
      expect((await page(owner)).map(({ message, packetId }) => [message.payload.toString(), packetId])).toEqual([
        ['live', 0],
        ['from anybody', 0],
      ])
    })

    test('that have ended get nothing more, and say so', async () => {
      await store.end(await claim())
      await append('late', {}, { clientId: 'nobody' })
      expect(dropped).toEqual(['c late sessionEnded', 'nobody late sessionEnded'])
    })

    test('say at a claim how much waits for them', async () => {
      expect((await claim()).queued).toEqual({ messages: 0, bytes: 0 })
      await append('1', { packetId: 1 })
      await append('2', {})
      const again = await claim()
      expect(again.queued.messages).toBe(2)
      expect(again.queued.bytes).toBe(2 * queuedBytes(message('1')))
      await store.ack(again, 1)
      expect((await claim()).queued.messages).toBe(1)
    })

    test('queue in the order of the appends, one body for many, and nothing for whom there is not', async () => {
      const [c, d] = [await claim(), await claim({ clientId: 'd' })]
      await append('1', {}, { clientId: 'd', qos: 2, retain: true, identifiers: [7, 8], group: 'g/a' }, { clientId: 'nobody' })
      await append('2', {})
      expect(await payloads(c)).toEqual(['1', '2'])
      const [entry] = await page(d)
      expect(entry).toMatchObject({ qos: 2, retain: true, identifiers: [7, 8], group: 'g/a', packetId: 0, released: false })
      expect(entry!.message).toMatchObject({ topic: 't', clientId: 'publisher' })
    })

    test('are read a page at a time, and a page shows all writes called before it', async () => {
      const session = await claim()
      for (let i = 0; i < 10; i++) void store.append(message(String(i)), [target({})], null)
      const first = await page(session, 0, 4)
      const second = await page(session, first.at(-1)!.position, 4)
      const third = await page(session, second.at(-1)!.position, 4)
      expect([first, second, third].map(entries => entries.map(entry => entry.message.payload.toString()).join(''))).toEqual([
        '0123',
        '4567',
        '89',
      ])
      expect(await page(session, third.at(-1)!.position, 4)).toEqual([])
    })

    test('remember packet identifiers and releases over claims, until the handshake is over', async () => {
      const session = await claim()
      await append('1', { packetId: 10 })
      await append('2', { qos: 2, packetId: 11 })
      await append('3', {})
      const [, , waiting] = await page(session)
      await store.send(session, waiting!.position, 12)
      await store.release(session, 11)
      await store.ack(session, 10)
      const again = await claim()
      expect((await page(again)).map(({ packetId, released }) => [packetId, released])).toEqual([
        [11, true],
        [12, false],
      ])
      await store.ack(again, 11)
      await store.remove(again, (await page(again))[0]!.position)
      expect(await page(again)).toEqual([])
    })

    test('remember QoS 2 identifiers with the append of their message, until they are forgotten', async () => {
      const publisher = await claim({ clientId: 'p' })
      const reader = await claim()
      await store.append(message('x'), [target({})], { session: publisher, packetId: 5 })
      await store.append(message('goes nowhere'), [], { session: publisher, packetId: 6 })
      expect([...(await claim({ clientId: 'p' })).receivedIds].sort()).toEqual([5, 6])
      const owner = await claim({ clientId: 'p' })
      await store.forget(owner, 5)
      expect((await claim({ clientId: 'p' })).receivedIds).toEqual([6])
      expect(await payloads(reader)).toEqual(['x'])
    })

    test.each([
      ['dropNewest', ['0', '1', '2'], ['c 3 queueFull', 'c 4 queueFull']],
      ['dropOldest', ['2', '3', '4'], ['c 0 queueFull', 'c 1 queueFull']],
    ] as const)('bound their queue by messages: %s', async (whenFull, left, gone) => {
      await open({ messagesMax: 3, whenFull })
      const session = await claim()
      for (let i = 0; i < 5; i++) await append(String(i), {})
      expect(await payloads(session)).toEqual(left)
      expect(dropped).toEqual(gone)
    })

    test('bound their queue by bytes, and have room again when something is acknowledged', async () => {
      await open({ bytesMax: 2500 })
      const session = await claim()
      for (let i = 0; i < 3; i++) await append(`${i}`.repeat(1000), { packetId: i + 1 })
      expect((await payloads(session)).map(payload => payload[0])).toEqual(['0', '1'])
      await store.ack(session, 1)
      await append('3'.repeat(1000), {})
      expect((await payloads(session)).map(payload => payload[0])).toEqual(['1', '3'])
    })

    const due = async (): Promise<string[]> => {
      const found: readonly Due[] = await store.expire(clock.now(), 100)
      return found.map(one => (one.kind === 'will' ? `will ${one.will.message.payload}` : `expired ${one.session.clientId}`))
    }

    test('expire when they have been closed for so long, once; a claim before that goes on with them', async () => {
      await store.close(await claim(), 10_000, false)
      clock.advance(9999)
      expect(await due()).toEqual([])
      const again = await claim()
      expect(again.present).toBe(true)
      clock.advance(60_000)
      expect(await due()).toEqual([])
      await store.close(again, 10_000, false)
      clock.advance(10_000)
      expect(await due()).toEqual(['expired c'])
      expect(await due()).toEqual([])
      expect(await claim()).toMatchObject({ present: false, ended: null })
    })

    test('that nobody has looked through are expired for a claim too', async () => {
      await store.close(await claim(), 10_000, false)
      clock.advance(10_001)
      expect(await claim()).toMatchObject({ present: false, ended: { clientId: 'c' } })
    })

    test('never expire where that was asked for', async () => {
      await store.close(await claim({ expiryMs: Number.POSITIVE_INFINITY }), Number.POSITIVE_INFINITY, false)
      clock.sleep(1e13)
      expect(await due()).toEqual([])
      expect(await claim()).toMatchObject({ present: true })
    })

    test('send their will when its delay is over, once; none where the connection ended well or somebody came back', async () => {
      await store.close(await claim({ will: will('late', 5000) }), 60_000, true)
      await store.close(await claim({ clientId: 'd', will: will('well', 0) }), 60_000, false)
      await store.close(await claim({ clientId: 'e', will: will('back', 5000) }), 60_000, true)
      await claim({ clientId: 'e', will: null })
      clock.advance(4999)
      expect(await due()).toEqual([])
      clock.advance(1)
      expect(await due()).toEqual(['will late'])
      expect(await due()).toEqual([])
      expect(await claim()).toMatchObject({ present: true })
    })

    test('that expire before their will is due leave it', async () => {
      await store.close(await claim({ will: will('left', 60_000) }), 1000, true)
      clock.advance(1000)
      const [expired] = await store.expire(clock.now(), 100)
      expect(expired).toMatchObject({ kind: 'expired', session: { clientId: 'c' } })
      expect(expired?.kind === 'expired' && expired.session.will?.message.payload.toString()).toBe('left')
    })

    test('come due a limited number at a time, and all in the end', async () => {
      for (let i = 0; i < 7; i++) await store.close(await claim({ clientId: `c${i}` }), 1000, false)
      clock.advance(1000)
      const found = []
      for (let i = 0; i < 3; i++) found.push((await store.expire(clock.now(), 3)).length)
      expect(found).toEqual([3, 3, 1])
    })

    test('end at once where that is asked for; one that is not there is nothing', async () => {
      const session = await claim()
      await append('shared', { group: 'g/a', packetId: 3, qos: 2 })
      expect((await store.end(session))?.shared).toMatchObject([{ packetId: 3, qos: 2 }])
      expect(await store.end(session)).toBeNull()
      expect(await claim()).toMatchObject({ present: false })
      await store.flush()
    })
  })
}

function message(payload: string): Message {
  return new Message({
    topic: 't',
    payload: Buffer.from(payload),
    qos: 2,
    retain: false,
    origin: 'client',
    clientId: 'publisher',
    receivedAt: 0,
  })
}

function will(payload: string, delayMs: number): StoredWill {
  return { message: message(payload), delayMs, username: null, rights: null }
}

function subscription(filter: string, qos: QoS = 1): Subscription {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }
}
