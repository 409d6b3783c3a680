import type { Client } from '../../../core/connection/client.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { Subscription } from '../../../core/routing/subscription.ts'
import { isTopicFilter, isTopicName } from '../../../core/routing/topic.ts'
import { type ClientRow, rowOf } from './clients.ts'
import type { publishersVerb, publishVerb, retainedVerb, retainRemoveVerb, subscribersVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, mergePages, type Page, type RowKey, readCursor, writeCursor } from './page.ts'

/** Who gets what is published to a topic, one subscription a row. */
export interface SubscriberRow {
  /** The client id. */
  readonly id: string
  /** The topic filter of the subscription, with `$share/{name}/`. */
  readonly filter: string
  /** The topic filter as the client gave it, where a plugin has put `filter` in its place: a mount point. */
  readonly requested?: string
  /** The QoS that was granted. */
  readonly qos: number
  /** The client is connected, as far as this node knows. */
  readonly online: boolean
}

const keyOfRow = ({ id, filter }: SubscriberRow): RowKey => [id, filter]

/** The filter by which messages are matched, and beside it the client's own, where that is another. */
export function namesOf({ filter, requested }: Subscription): { readonly filter: string; readonly requested?: string } {
  return requested === undefined ? { filter } : { filter, requested }
}

/** Who subscribes to a topic: the real router is asked. */
export const subscribers: VerbWork<typeof subscribersVerb.takes> = {
  async run(broker, { topic, limit, after }): Promise<Page<SubscriberRow>> {
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `subscribers: ${topic} is no topic name; it has no + and no #`)
    const store = broker.services.find('sessions')
    if (store?.looksUpSubscribers === true) broker.refreshSessions(topic, (await store.subscribersOf?.(topic)) ?? [])
    const { targets, groups } = broker.routeOf(topic)
    const rows = function* (): Iterable<SubscriberRow> {
      const row = (id: string, online: boolean, one: Subscription): SubscriberRow => ({ id, ...namesOf(one), qos: one.qos, online })
      for (const { subscriber, subscriptions } of targets)
        for (const one of subscriptions) yield row(subscriber.clientId, subscriber.online, one)
      for (const { members } of groups)
        for (const { subscriber, subscription } of members) yield row(subscriber.clientId, subscriber.online, subscription)
    }
    const { found, more } = await firstOf(broker, rows(), { limit, after: readCursor(after), keep: () => true, keyOf: keyOfRow })
    const last = found.at(-1)
    return { rows: found, next: more && last !== undefined ? writeCursor(keyOfRow(last)) : null }
  },
  // Stored sessions are known to all nodes.
  merge(parts, missing, { limit }): Page<SubscriberRow> {
    return uniqueOf(mergePages<SubscriberRow>(parts, missing, limit * parts.length, keyOfRow), limit, keyOfRow)
  },
}

/** A page without the rows that several nodes have; the one that says that its client is connected stays. */
export function uniqueOf(page: Page<SubscriberRow>, limit: number, keyOf: (row: SubscriberRow) => RowKey): Page<SubscriberRow> {
  const unique: SubscriberRow[] = []
  for (const row of page.rows) {
    const last = unique.at(-1)
    if (last === undefined || last.id !== row.id || last.filter !== row.filter) unique.push(row)
    else if (row.online) unique[unique.length - 1] = row
  }
  const rows = unique.slice(0, limit)
  const more = unique.length > limit || page.next !== null
  return { ...page, rows, next: more && rows.length > 0 ? writeCursor(keyOf(rows.at(-1)!)) : null }
}

/** Which of the connected clients may publish to a topic: `onAuthorize` is asked about each. */
export const publishers: VerbWork<typeof publishersVerb.takes> = {
  async run(broker, { topic, limit, after }): Promise<Page<ClientRow>> {
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `publishers: ${topic} is no topic name; it has no + and no #`)
    const { onAuthorize } = broker.hooks
    const may = (client: Client): boolean => client.state === 'connected' && (onAuthorize.call(client, 'publish', topic) ?? true) === true
    const keyOf = ({ clientId }: Client): RowKey => [clientId, clientId]
    const { found, more } = await firstOf(broker, broker.clients, { limit, after: readCursor(after), keep: may, keyOf })
    const last = found.at(-1)
    return { rows: found.map(one => rowOf(one, broker.verbs.node)), next: more && last !== undefined ? writeCursor(keyOf(last)) : null }
  },
  merge: (parts, missing, { limit }) => mergePages<ClientRow>(parts, missing, limit, ({ id }) => [id, id]),
}

/** A retained message; never its payload. */
export interface RetainedRow {
  /** Its topic name. */
  readonly topic: string
  /** The bytes of its payload. */
  readonly bytes: number
  /** The QoS that it was published with. */
  readonly qos: number
  /** When it came: milliseconds since the Unix epoch. */
  readonly at: number
  /** The client id of its publisher; empty: the broker itself. */
  readonly from: string
  /** The user name of its publisher; null: none, or unknown. */
  readonly user: string | null
}

/** The retained messages under a filter, the first of them that the store shows. */
export const retained: VerbWork<typeof retainedVerb.takes> = {
  async run(broker, { filter, limit }): Promise<{ rows: RetainedRow[]; more: boolean; retained: number }> {
    if (!isTopicFilter(filter))
      throw new OperatorError('ERR_ARGUMENTS', `retained: ${filter} is no topic filter; + and # stand alone between slashes`)
    const store = broker.services.get('retained')
    const cursor = store.match(filter)
    const rows: RetainedRow[] = []
    for (;;) {
      const page = await cursor.next(limit + 1 - rows.length)
      for (const { topic, payloadLength: bytes, qos, receivedAt: at, clientId: from, username } of page.messages)
        rows.push({ topic, bytes, qos, at: Math.round(at), from, user: username ?? null })
      if (page.done || rows.length > limit) break
      await broker.turns.next()
    }
    return { rows: rows.slice(0, limit), more: rows.length > limit, retained: store.size }
  },
}

/** Takes a retained message away, as an empty one that is published does. */
export const retainRemove: VerbWork<typeof retainRemoveVerb.takes> = {
  async run(broker, { topic }): Promise<{ topic: string; removed: boolean }> {
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `retained rm: ${topic} is no topic name; take one away at a time`)
    const page = await broker.services.get('retained').match(topic).next(1)
    await broker.publish({ topic, payload: '', qos: 1, retain: true })
    return { topic, removed: page.messages.length > 0 }
  },
}

/** Publishes in the broker's own name. */
export const publish: VerbWork<typeof publishVerb.takes> = {
  async run(broker, { topic, payload, qos, retain }): Promise<{ topic: string; receivers: number }> {
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `publish: ${topic} is no topic name; it has no + and no #`)
    const { targets, groups } = broker.routeOf(topic)
    await broker.publish({ topic, payload, qos: qos as 0 | 1 | 2, retain })
    return { topic, receivers: targets.length + groups.length }
  },
}
