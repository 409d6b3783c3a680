import type { Broker } from '../../../core/broker.ts'

/** A system that messages are bridged to. */
export interface BridgeRow {
  /** The name of the target, `kafka`, or of the connection to another broker. */
  readonly target: string
  /** Messages that wait for it. */
  readonly waiting: number
  /** The age of the oldest message on its way, in seconds. */
  readonly lagSeconds: number
  /** The other broker is connected; null: nobody says so of this kind, as of Kafka. */
  readonly connected: boolean | null
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
    const connected = of(`${kind}_connected`)
    return [...of(`${kind}_lag_seconds`)].map(([target, lagSeconds]) => {
      const up = connected.get(target)
      return { target, waiting: waiting.get(target) ?? 0, lagSeconds, connected: up === undefined ? null : up > 0 }
    })
  })
}
