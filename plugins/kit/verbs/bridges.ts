import type { Broker } from '../../../core/broker.ts'

/** A system that messages are bridged to. */
export interface BridgeRow {
  /** The name of the target, `kafka`, of the connection to another broker, or of a webhook's endpoint. */
  readonly target: string
  /** Messages that wait for it. */
  readonly waiting: number
  /** The age of the oldest message on its way, in seconds. */
  readonly lagSeconds: number
}

/** What bridges offer as figures says it; without such a plugin there are none. */
export function bridgesOf(broker: Broker): BridgeRow[] {
  const of = (figure: string): ReadonlyMap<string, number> => {
    for (const { name, read } of broker.figures)
      if (name === figure) return new Map(read().map(({ labels, value }) => [labels?.target ?? '', value]))
    return new Map()
  }
  return ['bridge', 'mqtt_bridge', 'webhook'].flatMap(kind => {
    const waiting = of(`${kind}_waiting_messages`)
    return [...of(`${kind}_lag_seconds`)].map(([target, lagSeconds]) => ({ target, waiting: waiting.get(target) ?? 0, lagSeconds }))
  })
}
