import type { SessionSummary } from '../../core/sessions/session-store.ts'
import { sessionField as field } from './script/layout.ts'
import type { SlotWriters } from './slot-writers.ts'
import { userIn } from './user-name.ts'

const { subscription: _prefix, ...fixed } = field
const names = Object.values(fixed)
const at = Object.fromEntries(names.map((name, i) => [name, i])) as Record<(typeof names)[number], number>

/** What can be said of sessions from their records; those that are not stored any more are left out. */
export async function summariesOf(writers: SlotWriters, clientIds: readonly string[]): Promise<SessionSummary[]> {
  const { keys } = writers
  const key = (clientId: string): string => keys.session(clientId)
  const [records, lengths] = await Promise.all([
    writers.readEach(clientIds, key, clientId => ['hmget', key(clientId), ...names], { instead: [] }),
    writers.readEach(clientIds, key, clientId => ['hlen', key(clientId)], { instead: 0 }),
  ])
  const found: SessionSummary[] = []
  for (const [i, clientId] of clientIds.entries()) {
    const values = records[i] as (Buffer | null)[]
    const text = (name: (typeof names)[number]): string | undefined => values[at[name]]?.toString()
    if (text(field.epoch) === undefined) continue
    const node = text(field.node) ?? null
    const expiresAt = text(field.expiresAt)
    found.push({
      clientId,
      ...userIn(text(field.user)),
      node,
      expiresAt: node !== null || expiresAt === undefined ? Number.POSITIVE_INFINITY : Number(expiresAt) - writers.time.shift,
      // Every other field is a subscription.
      subscriptions: (lengths[i] as number) - values.filter(value => value !== null).length,
      queued: { messages: Number(text(field.count) ?? 0), bytes: Number(text(field.bytes) ?? 0) },
    })
  }
  return found
}
