import type { Broker } from '../../../core/broker.ts'
import { StoreFullError } from '../../../core/sessions/session-store.ts'
import { type AlarmCheck, alarmsOf } from '../alarms.ts'
import { drainingOf } from '../draining.ts'
import { openFiles } from '../listening/open-files.ts'
import type {} from '../services/bus.ts'
import { dropsOf } from '../services/drops.ts'
import type {} from '../services/memory-pressure.ts'
import { bridgesOf } from './bridges.ts'

// A bridge whose oldest message is older than this is not well.
const lagSecondsMax = 60
// Part of the files that the system allows.
const filesPart = 0.9
const steppedMs = 10 * 60_000
const droppedMs = 5 * 60_000
// Messages that somebody wanted and nobody asked to be dropped.
const lost = [
  ...['queueFull', 'slowReader', 'storeFailed', 'bridgeFull', 'bridgeRefused', 'mqttBridgeFull', 'mqttBridgeRefused'],
  ...['webhookFull', 'webhookRefused'],
]

/** What can be wrong with any broker, whatever plugins it has. */
export function addChecks(broker: Broker): void {
  const { services } = broker
  const alarms = alarmsOf(broker)
  const trouble = (): Error | null => services.find('sessions')?.trouble?.() ?? null
  alarms.watch('storeFull', () =>
    services.find('sessions')?.room?.().full === true || trouble() instanceof StoreFullError
      ? 'the store has no room for new messages'
      : null,
  )
  alarms.watch('storeAway', () => {
    const error = trouble()
    return error === null || error instanceof StoreFullError ? null : `the store does not answer: ${error.message}`
  })
  alarms.watch('clusterCut', () => (services.find('bus')?.connected === false ? 'this node is cut off from its cluster' : null))
  alarms.watch('memory', () => (services.find('memoryPressure')?.slows === true ? 'memory is short: publishers are slowed' : null))
  alarms.watch('bridgeLag', () => {
    const late = bridgesOf(broker).filter(({ lagSeconds }) => lagSeconds >= lagSecondsMax)
    return late.length === 0
      ? null
      : late.map(({ target, lagSeconds }) => `the bridge to ${target} is ${Math.round(lagSeconds)} s behind`).join('; ')
  })
  alarms.watch('draining', () => {
    const draining = drainingOf(broker)
    if (draining === null) return null
    const left = broker.counters.connected
    return left === 0
      ? 'the node is drained: no client is connected'
      : `the node is being drained: ${left} clients are left, ${draining.rate} a second go`
  })
  alarms.watch('openFiles', filesCheck(openFiles()))
  alarms.watch(
    'clockStepped',
    steppedCheck(() => stepsOf(broker)),
  )
  alarms.watch('drops', () => {
    const dropped = dropsOf(broker)?.within(droppedMs) ?? {}
    const found = lost.filter(reason => (dropped[reason] ?? 0) > 0).map(reason => `${dropped[reason]} ${reason}`)
    return found.length === 0 ? null : `messages were dropped in the last 5 minutes: ${found.join(', ')}`
  })
}

/** The process has nearly as many files open as it may. */
export function filesCheck(files: { readonly max: number; count(): number }): AlarmCheck {
  return () => {
    if (!Number.isFinite(files.max)) return null
    const count = files.count()
    return count >= files.max * filesPart ? `${count} files are open, of ${files.max} that the system allows` : null
  }
}

/** The machine's clock was set within the last ten minutes. */
export function steppedCheck(steps: () => number): AlarmCheck {
  let before = steps()
  let at = Number.NEGATIVE_INFINITY
  return now => {
    const found = steps()
    if (found !== before) {
      before = found
      at = now
    }
    return now - at < steppedMs ? "the machine's clock was set within the last ten minutes" : null
  }
}

function stepsOf(broker: Broker): number {
  for (const { name, read } of broker.figures) if (name === 'clock_steps_total') return read()[0]?.value ?? 0
  return 0
}
