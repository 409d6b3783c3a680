import { describe, it } from 'vitest'
import type { SessionStore } from '../../core/sessions/session-store.ts'
import type { ManualClock } from '../../presets/testing/manual-clock.ts'
import { type SessionsOwner, sessionsContract as suite } from './suite/index.ts'

/** The suite of the `sessions` service under Vitest; `more`: how an owner is reopened, emptied and disposed of, and what it lacks. */
export function sessionsContract(
  name: string,
  create: (clock: ManualClock) => SessionStore | Promise<SessionStore>,
  more: Omit<SessionsOwner, 'name' | 'create'> = {},
): void {
  suite({ describe, it }, { name, create, ...more })
}
