import { describe, it } from 'vitest'
import type { RetainedStore } from '../../plugins/kit/services/retained.ts'
import type { ManualClock } from '../../presets/testing/manual-clock.ts'
import { type RetainedOwner, retainedContract as suite } from './suite/index.ts'

/** The suite of the `retained` service under Vitest; `more`: how an owner is reopened and disposed of. */
export function retainedContract(
  name: string,
  create: (clock: ManualClock) => RetainedStore | Promise<RetainedStore>,
  more: Pick<RetainedOwner, 'reopen' | 'dispose'> = {},
): void {
  suite({ describe, it }, { name, create, ...more })
}
