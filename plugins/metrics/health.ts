import type { Broker } from '../../core/broker.ts'

/** Why the store would keep nothing just now; null where it would. */
export function storeTrouble({ services }: Broker): Error | null {
  return services.find('sessions')?.trouble?.() ?? null
}

/** Why no client should be sent here just now; null where one may. */
export function readiness(broker: Broker): string | null {
  if (broker.stopping) return 'the broker is stopping'
  const trouble = storeTrouble(broker)
  return trouble === null ? null : `the store does not answer: ${trouble.message}`
}
