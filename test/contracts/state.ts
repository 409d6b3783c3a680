import { describe, it } from 'vitest'
import type { State } from '../../plugins/kit/services/state.ts'
import type { ManualClock } from '../../presets/testing/manual-clock.ts'
import { type StateOwner, stateContract as suite } from './suite/index.ts'

/** The suite of the `state` service under Vitest. */
export function stateContract(
  name: string,
  create: (clock: ManualClock) => State | Promise<State>,
  more: Partial<Omit<StateOwner, 'name' | 'create'>> = {},
): void {
  suite({ describe, it }, { name, create, ...more })
}
