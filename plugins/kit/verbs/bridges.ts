import type { Broker } from '../../../core/broker.ts'

/** A system that messages are bridged to. */
export interface BridgeRow {
  /** The name of the target: `kafka`. */
  readonly target: string
  /** Messages that wait for it. */
  readonly waiting: number
  /** The age of the oldest message on its way, in seconds. */
  readonly lagSeconds: number
}

/** What the bridge offers as figures says it; without the plugin there are none. */
export function bridgesOf(broker: Broker): BridgeRow[] {
  const of = (figure: string): ReadonlyMap<string, number> => {
    for (const { name, read } of broker.figures)
      if (name === figure) return new Map(read().map(({ labels, value }) => [labels?.target ?? '', value]))
    return new Map()
  }
  const waiting = of('bridge_waiting_messages')
  return [...of('bridge_lag_seconds')].map(([target, lagSeconds]) => ({ target, waiting: waiting.get(target) ?? 0, lagSeconds }))
}
