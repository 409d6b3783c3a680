import type { BrokerCore } from '../../core/broker-core.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'

/** A running broker with what plugins do not see, for tests that look inside. */
export function coreOf({ broker }: { readonly broker: RunningBroker['broker'] }): BrokerCore {
  return broker as BrokerCore
}
