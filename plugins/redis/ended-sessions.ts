import type { Subscription } from '../../core/routing/subscription.ts'
import type { EndedSession, QueueEntry, SessionStoreEvents, StoredWill } from '../../core/sessions/session-store.ts'
import { decodeWill } from '../kit/stored-message.ts'
import { type Bodies, lostMessage, unreadable } from './bodies.ts'
import type { EndedFields } from './operation.ts'
import { decodeQueueEntry } from './queue-entry.ts'
import { queueEntryOf } from './queue-reader.ts'
import { sessionField as field, identifierField } from './script/layout.ts'
import { decodeSubscription, type FilterIndex } from './subscriptions.ts'
import type { Writes } from './writes.ts'

const pageSize = 500

/** Goes through what ended sessions leave behind: their queues were put aside, so the session itself is gone at once. */
export class EndedSessions {
  readonly #writes: Writes
  readonly #bodies: Bodies
  readonly #index: FilterIndex
  readonly #dropped: SessionStoreEvents['dropped']

  constructor(writes: Writes, bodies: Bodies, index: FilterIndex, dropped: SessionStoreEvents['dropped']) {
    this.#writes = writes
    this.#bodies = bodies
    this.#index = index
    this.#dropped = dropped
  }

  /** What is left, for whoever asked for the end; drops the rest of the queue, and removes all traces. */
  async empty(clientId: string, [queueAside, list]: EndedFields): Promise<EndedSession> {
    const fields = new Map<string, Buffer>()
    for (let i = 0; i < list.length; i += 2) fields.set(list[i]!.toString(), list[i + 1]!)
    const subscriptions = this.subscriptionsOf(fields)
    const will = willOf(fields)
    const removed = this.#index.remove(
      clientId,
      subscriptions.map(({ filter }) => filter),
    )
    const shared = queueAside.length === 0 ? [] : await this.#emptyQueue(clientId, queueAside.toString())
    await removed
    return { clientId, subscriptions, will, shared }
  }

  subscriptionsOf(fields: ReadonlyMap<string, Buffer>): Subscription[] {
    const found: Subscription[] = []
    for (const [name, value] of fields)
      if (name.startsWith(field.subscription)) found.push(decodeSubscription(name.slice(field.subscription.length), value.toString()))
    return found
  }

  async #emptyQueue(clientId: string, queueAside: string): Promise<QueueEntry[]> {
    const writer = this.#writes.writers.of(queueAside)
    const [states] = (await writer.read([['hgetall', `${queueAside}:ids`]])) as [Buffer[]]
    const stateOf = new Map<string, string>()
    for (let i = 0; i < states.length; i += 2) stateOf.set(states[i]!.toString(), states[i + 1]!.toString())
    const shared: QueueEntry[] = []
    let from = '-inf'
    for (;;) {
      const [members] = (await writer.read([['zrangebyscore', queueAside, from, '+inf', 'LIMIT', 0, pageSize]])) as [Buffer[]]
      const entries = members.map(decodeQueueEntry)
      const messages = await this.#bodies.messagesOf(entries)
      for (const [i, stored] of entries.entries()) {
        const message = messages[i] ?? null
        if (message === null || message === unreadable) {
          this.#dropped(clientId, lostMessage(0), 'storeFailed')
        } else {
          const entry = queueEntryOf(stored, message, stateOf.get(`${identifierField.outbound}${stored.position}`) ?? '')
          if (entry.group !== null) shared.push(entry)
          else if (!entry.released) this.#dropped(clientId, message, 'sessionEnded')
        }
        if (!Buffer.isBuffer(stored.body)) void this.#bodies.unrefer(stored.body).catch(() => {})
      }
      if (entries.length < pageSize) break
      from = `(${entries.at(-1)!.position}`
    }
    void this.#writes.command('del', queueAside, [`${queueAside}:ids`]).catch(() => {})
    return shared
  }
}

function willOf(fields: ReadonlyMap<string, Buffer>): StoredWill | null {
  const bytes = fields.get(field.will)
  return bytes === undefined ? null : decodeWill(bytes)
}
