import { describe, expect, onTestFinished, test } from 'vitest'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf, subscriptionOf } from '../contracts/suite/sessions-harness.ts'
import { TestDisk } from '../support/disk.ts'

// Goal: what one session has a hundred thousand of fits into the counts of the rows, and nothing that walks it runs out of stack.

const count = 100_000
const numbers = Array.from({ length: count }, (_, i) => i)
const request = { clientId: 'c', node: 1, user: null, userOnly: false, cleanStart: false, expiryMs: 60_000, will: null }
const target = { clientId: 'c', qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch: 0 } as const

describe.each([
  ['in memory', () => ({ store: new MemorySessions(new ManualClock()) as SessionStore, reopen: null })],
  [
    'on disk',
    async () => {
      const disk = await new TestDisk(new ManualClock()).open()
      onTestFinished(() => disk.dispose())
      const reopen = async (): Promise<SessionStore> => {
        await disk.crash()
        return disk.store.sessions
      }
      return { store: disk.store.sessions as SessionStore, reopen }
    },
  ],
] as const)('a session %s', (_where, create) => {
  test('hands on a hundred thousand subscriptions at a claim and at its end', async () => {
    const made = await create()
    const subscriptions = numbers.map(i => subscriptionOf(`filter/${i}`))
    const first = { clientId: 'c', ...(await made.store.claim(request)) }
    await made.store.subscribe(first, subscriptions)
    const store = made.reopen === null ? made.store : await made.reopen()
    const again = { clientId: 'c', ...(await store.claim(request)) }
    expect(again.subscriptions).toHaveLength(count)
    expect((await store.list!(null, 10)).sessions[0]!.subscriptions).toBe(count)
    await store.unsubscribe(
      again,
      subscriptions.slice(1).map(({ filter }) => filter),
    )
    const last = { clientId: 'c', ...(await store.claim(request)) }
    expect(last.subscriptions).toEqual([subscriptions[0]])
    await store.subscribe(last, subscriptions)
    expect((await store.end(last))!.subscriptions).toHaveLength(count)
  })

  test('keeps a message that came by a hundred thousand subscriptions, with all their identifiers', async () => {
    const made = await create()
    await made.store.claim(request)
    await made.store.append(messageOf('x'), [{ ...target, identifiers: numbers, group: 'g/a' }], null)
    await made.store.append(messageOf('y'), [target], null)
    const store = made.reopen === null ? made.store : await made.reopen()
    const session = { clientId: 'c', ...(await store.claim(request)) }
    const [entry, next] = await store.page(session, 0, 10)
    expect(entry!.identifiers).toEqual(numbers)
    expect([entry!.group, entry!.message.payload.toString()]).toEqual(['g/a', 'x'])
    expect(next!.message.payload.toString()).toBe('y')
  })

  test('leaves a hundred thousand messages of shared groups at its end', async () => {
    const { store } = await create()
    const session = { clientId: 'c', ...(await store.claim(request)) }
    const message = messageOf('x')
    await Promise.all(numbers.map(() => store.append(message, [{ ...target, group: 'g/a' }], null)))
    expect((await store.totals!()).messages).toBe(count)
    expect((await store.end(session))!.shared).toHaveLength(count)
  })
})
