import type { Broker } from '../../core/broker.ts'

/** A node that an operator empties: it takes no new clients, and sends away those that it has. */
export interface Draining {
  /** Since when: milliseconds since the Unix epoch. */
  readonly since: number
  /** Clients that are sent away in a second. */
  readonly rate: number
  /** What MQTT 5 clients are told as Server Reference; null: nothing. */
  readonly reference: string | null
  /** Clients that were sent away so far. */
  readonly sent: number
}

const drainingByBroker = new WeakMap<Broker, Draining>()

/** How a node is being drained, for health checks and whoever distributes clients; null: it is not. */
export function drainingOf(broker: Broker): Draining | null {
  return drainingByBroker.get(broker) ?? null
}

/** Says that a node is being drained, or (null) is no more: for whoever drains it. */
export function setDraining(broker: Broker, draining: Draining | null): void {
  if (draining === null) drainingByBroker.delete(broker)
  else drainingByBroker.set(broker, draining)
}
