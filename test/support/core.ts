import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import type { WholeBroker } from '../../presets/shell/whole-broker.ts'

/** A running broker with what plugins do not see, for tests that look inside. */
export function coreOf({ broker }: { readonly broker: RunningBroker['broker'] }): WholeBroker {
  return broker as WholeBroker
}
