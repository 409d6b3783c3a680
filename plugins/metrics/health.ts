import type { Broker } from '../../core/broker.ts'
import type {} from '../kit/services/outage.ts'

/** Why the store would keep nothing just now; null where it would. */
export function storeTrouble({ services }: Broker): Error | null {
  return services.find('sessions')?.trouble?.() ?? null
}

/** Whether clients should be sent here just now, and what is to be said. */
export interface Readiness {
  readonly ready: boolean
  readonly text: string
}

/**
 * `by`: `store`, only while the store answers; `serving`, also while it does not, where clean sessions are served then; null, the second in a
 * cluster that serves them, else the first.
 */
export function readiness(broker: Broker, by: 'store' | 'serving' | null): Readiness {
  if (broker.stopping) return { ready: false, text: 'the broker is stopping' }
  const trouble = storeTrouble(broker)
  if (trouble === null) return { ready: true, text: 'ready' }
  const text = `the store does not answer: ${trouble.message}`
  const outage = broker.services.find('outage')
  const serves = by === null ? outage?.servesClean === true : by === 'serving' && outage?.servesClean !== false
  return serves ? { ready: true, text: `ready for clean sessions only; ${text}` } : { ready: false, text }
}
