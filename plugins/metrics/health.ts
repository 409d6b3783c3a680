import type { Broker } from '../../core/broker.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import { drainingOf } from '../kit/draining.ts'
import type {} from '../kit/services/outage.ts'

/** Why the store does not answer just now; null where it does. One that has no room answers, as whoever drains it must get in. */
export function storeTrouble({ services }: Broker): Error | null {
  const trouble = services.find('sessions')?.trouble?.() ?? null
  return trouble instanceof StoreFullError ? null : trouble
}

/** The store has no room for new messages. */
export function isStoreFull({ services }: Broker): boolean {
  const sessions = services.find('sessions')
  return sessions?.room?.().full === true || sessions?.trouble?.() instanceof StoreFullError
}

/** Whether clients should be sent here just now, and what is to be said. */
export interface Readiness {
  readonly ready: boolean
  readonly text: string
}

/**
 * `by`: `store`, only while the store answers; `serving`, also while it does not, where clean sessions are served then; null, the second in a
 * cluster that serves them, else the first. `whenFull`: also while the store is full.
 */
export function readiness(broker: Broker, by: 'store' | 'serving' | null, whenFull: boolean): Readiness {
  if (broker.stopping) return { ready: false, text: 'the broker is stopping' }
  if (drainingOf(broker) !== null) return { ready: false, text: 'the node is being drained' }
  const trouble = storeTrouble(broker)
  const full = 'store full: new messages that must be kept are refused until there is room'
  if (trouble === null && isStoreFull(broker)) return { ready: whenFull, text: whenFull ? `ready; ${full}` : full }
  if (trouble === null) return { ready: true, text: 'ready' }
  const text = `the store does not answer: ${trouble.message}`
  const outage = broker.services.find('outage')
  const serves = by === null ? outage?.servesClean === true : by === 'serving' && outage?.servesClean !== false
  return serves ? { ready: true, text: `ready for clean sessions only; ${text}` } : { ready: false, text }
}
