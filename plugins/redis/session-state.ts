import type { Subscription } from '../../core/routing/subscription.ts'
import type { StoredSessionState } from '../../core/sessions/session-store.ts'
import { decodeWill } from '../kit/stored-message.ts'
import { sessionField as field, identifierField } from './script/layout.ts'
import type { SlotWriters } from './slot-writers.ts'
import { decodeSubscription } from './subscriptions.ts'
import { userIn } from './user-name.ts'

/** All that is stored of a session but its queue, behind all writes that were called before; null: no such session is stored. */
export async function stateOf(writers: SlotWriters, clientId: string): Promise<StoredSessionState | null> {
  const { keys, time } = writers
  const key = keys.session(clientId)
  const [record, names] = (await writers.of(key).read([
    ['hgetall', key],
    ['hkeys', keys.identifiers(clientId)],
  ])) as [Buffer[], Buffer[]]
  const fields = new Map<string, Buffer>()
  const subscriptions: Subscription[] = []
  for (let i = 0; i < record.length; i += 2) {
    const name = record[i]!.toString()
    const value = record[i + 1]!
    if (name.startsWith(field.subscription)) subscriptions.push(decodeSubscription(name.slice(field.subscription.length), value.toString()))
    else fields.set(name, value)
  }
  const numberOf = (name: string): number | null => (fields.has(name) ? Number(fields.get(name)!.toString()) : null)
  if (numberOf(field.epoch) === null) return null
  const node = fields.get(field.node)?.toString() ?? null
  const expiryMs = numberOf(field.expiryMs) ?? -1
  const will = fields.get(field.will)
  const willAt = numberOf(field.willAt)
  const expiresAt = numberOf(field.expiresAt)
  const closedAt =
    willAt !== null ? willAt - (numberOf(field.willDelay) ?? 0) : expiresAt !== null && expiryMs >= 0 ? expiresAt - expiryMs : null
  return {
    clientId,
    ...userIn(fields.get(field.user)?.toString()),
    node,
    closedAt: node !== null || closedAt === null ? null : closedAt - time.shift,
    expiryMs: expiryMs < 0 ? Number.POSITIVE_INFINITY : expiryMs,
    will: will === undefined ? null : decodeWill(will),
    subscriptions,
    receivedIds: names
      .map(String)
      .filter(name => name.startsWith(identifierField.inbound))
      .map(name => Number(name.slice(identifierField.inbound.length))),
    queued: { messages: numberOf(field.count) ?? 0, bytes: numberOf(field.bytes) ?? 0 },
  }
}
