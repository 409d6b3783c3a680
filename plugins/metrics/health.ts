import type { Broker } from '../../core/broker.ts'

/** Why no client should be sent here just now; null where one may. */
export function readiness(broker: Broker): string | null {
  if (broker.stopping) return 'the broker is stopping'
  const trouble = broker.services.find('sessions')?.trouble?.() ?? null
  return trouble === null ? null : `the store does not answer: ${trouble.message}`
}
