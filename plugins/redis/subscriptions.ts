import type { QoS } from '../../core/protocol/constants.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { parseShare } from '../../core/routing/topic.ts'
import type { Writes } from './writes.ts'

/** A subscription's options in one short text, with the client's own name for it behind them; the filter is the name of its field. */
export function encodeSubscription({ requested, qos, noLocal, retainAsPublished, retainHandling, identifier }: Subscription): string {
  const flags = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4)
  if (requested !== undefined) return `${flags},${identifier},${requested}`
  return identifier === 0 ? String(flags) : `${flags},${identifier}`
}

export function decodeSubscription(filter: string, text: string): Subscription {
  const [, said = '0', id = '0', requested] = /^(\d+)(?:,(\d+))?(?:,(.*))?$/s.exec(text) ?? []
  const flags = Number(said)
  const subscription = {
    filter,
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    retainHandling: (flags >> 4) as 0 | 1 | 2,
    identifier: Number(id),
  }
  return requested === undefined ? subscription : { ...subscription, requested }
}

/** A subscriber of a filter as the index names it: its client id, behind the group where it is a member of one (neither can hold a NUL). */
function fieldOf(clientId: string, filter: string): { readonly bare: string; readonly field: string } {
  const share = parseShare(filter)
  return share === null ? { bare: filter, field: clientId } : { bare: share.filter, field: `\0${share.group}\0${clientId}` }
}

/** The durable subscribers of each filter, beside the sessions' own records: what is looked up where no subscriptions are kept in memory. */
export class FilterIndex {
  readonly #writes: Writes

  constructor(writes: Writes) {
    this.#writes = writes
  }

  async add(clientId: string, subscriptions: readonly Subscription[]): Promise<void> {
    const { keys } = this.#writes.writers
    await Promise.all(
      subscriptions.flatMap(subscription => {
        const { bare, field } = fieldOf(clientId, subscription.filter)
        return [
          this.#writes.command('hset', keys.subscribers(bare), [field, encodeSubscription(subscription)]),
          this.#writes.command('sadd', keys.filters(bare), [bare]),
        ]
      }),
    )
  }

  async remove(clientId: string, filters: readonly string[]): Promise<void> {
    await Promise.all(filters.map(filter => this.#removeOne(clientId, filter)))
  }

  async #removeOne(clientId: string, filter: string): Promise<void> {
    const { writers } = this.#writes
    const { keys } = writers
    const { bare, field } = fieldOf(clientId, filter)
    const subscribers = keys.subscribers(bare)
    const [, left] = await Promise.all([this.#writes.command('hdel', subscribers, [field]), this.#writes.command('hlen', subscribers, [])])
    if (left !== 0) return
    await this.#writes.command('srem', keys.filters(bare), [bare])
    // Somebody else may have subscribed to it meanwhile, and his SADD come before our SREM.
    if ((await this.#writes.command('exists', subscribers, [])) !== 0) await this.#writes.command('sadd', keys.filters(bare), [bare])
  }
}
