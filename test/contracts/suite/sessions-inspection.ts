import assert from 'node:assert/strict'
import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import type { SessionSummary } from '../../../core/sessions/session-store.ts'
import type { SessionsCase } from './sessions.ts'
import { messageOf, type SessionsHarness, subscriptionOf } from './sessions-harness.ts'

const never = Number.POSITIVE_INFINITY
const bytesOf = (...payloads: string[]): number => payloads.reduce((bytes, payload) => bytes + queuedBytes(messageOf(payload)), 0)

/** What is stored in all, whoever owns it. */
export function totalsCases(test: SessionsCase, reopens: boolean): void {
  const totals = async ({ store }: SessionsHarness): Promise<object> => ({ ...(await store.totals!()) })

  test('count themselves and what waits in all their queues', async h => {
    assert.deepEqual(await totals(h), { sessions: 0, messages: 0, bytes: 0 })
    const [c, d] = [await h.claim(), await h.claim({ clientId: 'd' })]
    await h.claim({ clientId: 'clean', cleanStart: true, expiryMs: 0 })
    await h.append('both', { packetId: 1 }, { clientId: 'd' })
    await h.append('one', { clientId: 'd', packetId: 2 })
    await h.append('for nobody', { clientId: 'nobody' })
    assert.deepEqual(await totals(h), { sessions: 2, messages: 3, bytes: bytesOf('both', 'both', 'one') })
    await h.store.ack(c, 1)
    await h.store.close(d, never, false)
    assert.deepEqual(await totals(h), { sessions: 2, messages: 2, bytes: bytesOf('both', 'one') })
    await h.store.end(await h.claim({ clientId: 'd' }))
    await h.append('expires', {})
    await h.store.close(c, 1000, false)
    assert.deepEqual(await totals(h), { sessions: 1, messages: 1, bytes: bytesOf('expires') })
    h.clock.advance(1000)
    assert.deepEqual(await h.due(), ['expired c'])
    assert.deepEqual(await totals(h), { sessions: 0, messages: 0, bytes: 0 })
  })

  test(
    'count what waits, not what a full queue has dropped',
    async h => {
      await h.claim()
      for (let i = 0; i < 5; i++) await h.append(String(i), {})
      assert.deepEqual(await totals(h), { sessions: 1, messages: 2, bytes: bytesOf('3', '4') })
      await h.claim({ cleanStart: true })
      assert.deepEqual(await totals(h), { sessions: 1, messages: 0, bytes: 0 })
    },
    { messagesMax: 2, whenFull: 'dropOldest' },
  )

  if (!reopens) return
  test('count after a restart what they counted before', async h => {
    await h.claim()
    await h.claim({ clientId: 'd' })
    for (let i = 0; i < 20; i++) await h.append('x', {}, { clientId: 'd', packetId: i + 1 })
    const before = await totals(h)
    assert.deepEqual(before, { sessions: 2, messages: 40, bytes: 40 * bytesOf('x') })
    await h.reopen()
    assert.deepEqual(await totals(h), before)
    await h.store.ack(await h.claim({ clientId: 'd' }), 1)
    await h.reopen()
    assert.deepEqual(await totals(h), { sessions: 2, messages: 39, bytes: 39 * bytesOf('x') })
  })
}

/** A queue as somebody sees it who does not own the session. */
export function peekCases(test: SessionsCase, reopens: boolean): void {
  const peek = async ({ store }: SessionsHarness, clientId = 'c', position = 0, limit = 100): Promise<unknown[] | null> => {
    const entries = await store.peek!(clientId, position, limit)
    return (
      entries?.map(({ message, packetId, released, qos, group }) => [message.payload.toString(), packetId, released, qos, group]) ?? null
    )
  }

  test('show their queue to anybody, and go on as if nobody had looked', async h => {
    const session = await h.claim()
    await h.append('0', { packetId: 1, group: 'g/a' })
    await h.append('1', { packetId: 2, qos: 2 })
    await h.append('2', {})
    await h.append('3', {})
    await h.store.release(session, 2)
    const all = [
      ['0', 1, false, 1, 'g/a'],
      ['1', 2, true, 2, null],
      ['2', 0, false, 1, null],
      ['3', 0, false, 1, null],
    ]
    assert.deepEqual(await peek(h), all)
    const [first, second] = (await h.store.peek!('c', 0, 2))!
    assert.ok(first !== undefined && second !== undefined && first.position < second.position)
    assert.deepEqual(await peek(h, 'c', second.position, 1), [all[2]])
    assert.deepEqual(await peek(h, 'c', (await h.store.peek!('c', 0, 100))!.at(-1)!.position), [])
    // Its owner's page in between stands.
    const [waits] = await h.page(session, second.position, 1)
    assert.deepEqual(await peek(h), all)
    await h.store.send(session, waits!.position, 3)
    await h.store.ack(session, 1)
    assert.deepEqual(await peek(h), [all[1], ['2', 3, false, 1, null], all[3]])
    await h.store.ack(session, 3)
    assert.deepEqual(await h.payloads(session), ['1', '3'])
    await h.store.close(session, 60_000, false)
    assert.deepEqual(await peek(h), [all[1], all[3]])
  })

  test('show what was appended before they are looked at, though nothing has been answered yet', async h => {
    await h.claim()
    const appended = Array.from({ length: 300 }, (_, i) => h.append(String(i), {}))
    assert.deepEqual(
      (await h.store.peek!('c', 0, 1000))!.map(({ message }) => message.payload.toString()),
      Array.from({ length: 300 }, (_, i) => String(i)),
    )
    await Promise.all(appended)
  })

  test('show no queue where none is stored', async h => {
    await h.claim({ clientId: 'clean', cleanStart: true, expiryMs: 0 })
    assert.equal(await peek(h, 'clean'), null)
    assert.equal(await peek(h, 'nobody'), null)
    const session = await h.claim()
    assert.deepEqual(await peek(h), [])
    await h.store.end(session)
    assert.equal(await peek(h), null)
  })

  if (!reopens) return
  test('show after a restart what their owners had', async h => {
    await h.claim()
    await h.append('0', { packetId: 1 })
    await h.append('1', {})
    const before = await peek(h)
    await h.reopen()
    assert.deepEqual(await peek(h), before)
    // And nothing is taken from whoever claims it next.
    assert.deepEqual(await h.payloads(await h.claim()), ['0', '1'])
  })
}

/** All stored sessions, a page at a time. */
export function listCases(test: SessionsCase, reopens: boolean): void {
  const all = async ({ store }: SessionsHarness, limit: number): Promise<SessionSummary[]> => {
    const found: SessionSummary[] = []
    let after: string | null = null
    do {
      const page: Awaited<ReturnType<NonNullable<typeof store.list>>> = await store.list!(after, limit)
      assert.ok(page.sessions.length <= limit)
      found.push(...page.sessions)
      after = page.next
    } while (after !== null)
    return found.sort((a, b) => (a.clientId < b.clientId ? -1 : 1))
  }

  test('are listed in pages with what can be said of them', async h => {
    assert.deepEqual(await h.store.list!(null, 10), { sessions: [], next: null })
    const session = await h.claim({ user: 'eve', node: 'here' })
    await h.store.subscribe(session, [subscriptionOf('a'), subscriptionOf('b'), subscriptionOf('$share/g/b')])
    await h.store.subscribe(session, [subscriptionOf('a', 2)])
    await h.store.unsubscribe(session, ['b', 'not there'])
    await h.append('in flight', { packetId: 1 })
    await h.append('waits', {})
    await h.store.close(await h.claim({ clientId: 'd', user: null }), 10_000, false)
    await h.store.close(await h.claim({ clientId: 'e', user: 'adam' }), never, false)
    await h.claim({ clientId: 'clean', cleanStart: true, expiryMs: 0 })
    const queued = { messages: 2, bytes: bytesOf('in flight', 'waits') }
    const nothing = { messages: 0, bytes: 0 }
    assert.deepEqual(await all(h, 10), [
      { clientId: 'c', user: 'eve', node: 'here', expiresAt: never, subscriptions: 2, queued },
      { clientId: 'd', user: null, node: null, expiresAt: h.clock.now() + 10_000, subscriptions: 0, queued: nothing },
      { clientId: 'e', user: 'adam', node: null, expiresAt: never, subscriptions: 0, queued: nothing },
    ])
  })

  test('are listed once each, however small the pages, while others come and end', async h => {
    const clientIds = Array.from({ length: 25 }, (_, i) => `c${String(i).padStart(2, '0')}`)
    for (const clientId of clientIds) await h.claim({ clientId })
    for (const limit of [1, 7, 25, 100]) {
      assert.deepEqual(
        (await all(h, limit)).map(({ clientId }) => clientId),
        clientIds,
      )
    }
    // Two who list at the same time, while a session ends and another comes.
    const ending = await h.claim({ clientId: 'c03' })
    const [first, second] = [await h.store.list!(null, 10), await h.store.list!(null, 10)]
    assert.deepEqual(first, second)
    await h.store.end(ending)
    await h.claim({ clientId: 'new' })
    for (const page of [first, second]) {
      const seen = page.sessions.map(({ clientId }) => clientId)
      for (let after = page.next; after !== null; ) {
        const next = await h.store.list!(after, 10)
        seen.push(...next.sessions.map(({ clientId }) => clientId))
        after = next.next
      }
      assert.equal(new Set(seen).size, seen.length)
      assert.deepEqual(
        clientIds.filter(clientId => clientId !== 'c03' && !seen.includes(clientId)),
        [],
      )
    }
  })

  if (!reopens) return
  test('are listed after a restart as they were', async h => {
    const session = await h.claim({ user: 'eve' })
    await h.store.subscribe(session, [subscriptionOf('a'), subscriptionOf('b')])
    for (let i = 0; i < 10; i++) await h.append('x', {})
    await h.store.close(session, 10_000, false)
    const before = await all(h, 10)
    await h.reopen()
    assert.deepEqual(await all(h, 10), before)
    await h.append('y', {})
    assert.deepEqual((await all(h, 10))[0]!.queued, { messages: 11, bytes: 10 * bytesOf('x') + bytesOf('y') })
  })
}
