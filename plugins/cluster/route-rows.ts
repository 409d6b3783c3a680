import type { Subscription } from '../../core/routing/subscription.ts'

/**
 * What a node tells the others of one filter: a row of its table `routes`. A plain filter's value is a sum of these; a member of a
 * shared group has a row of its own, because members are picked one by one, over all nodes.
 */
export const Wants = {
  /** A message of QoS 0: somebody with this filter is connected. */
  Qos0: 1,
  /** A message of QoS 1 or 2, kept: a session that ends with its connection has subscribed at QoS 1 or 2. What outlives it is the store's. */
  Kept: 2,
  /** A message of QoS 1 or 2 at QoS 0: that is what somebody has subscribed at. */
  Lowered: 4,
} as const

const separator = '\u0000'

/** The row of a clean session's membership in a shared group. */
export function memberKey(filter: string, clientId: string): string {
  return `${filter}${separator}${clientId}`
}

/** Of a member's row: the whole filter, and the client id; null for that of a plain filter. */
export function memberOf(key: string): { readonly filter: string; readonly clientId: string } | null {
  // A client id has no NUL in it, nor has a filter [MQTT-1.5.4-2].
  const at = key.indexOf(separator)
  return at === -1 ? null : { filter: key.slice(0, at), clientId: key.slice(at + 1) }
}

/** The value of a member's row. */
export function memberValue({ qos, retainAsPublished, identifier }: Subscription): string {
  return JSON.stringify([qos, retainAsPublished ? 1 : 0, identifier])
}

export function memberSubscription(filter: string, value: string): Subscription {
  const [qos, retainAsPublished, identifier] = JSON.parse(value) as [Subscription['qos'], number, number]
  return { filter, qos, noLocal: false, retainAsPublished: retainAsPublished === 1, retainHandling: 0, identifier }
}
