import type { QueueLimits } from '../../../core/sessions/session-store.ts'
import type { ContractRunner } from './runner.ts'
import { boundCases } from './sessions-bounds.ts'
import { claimCases } from './sessions-claims.ts'
import { endingCases } from './sessions-endings.ts'
import { handshakeCases } from './sessions-handshakes.ts'
import { SessionsHarness, type SessionsOwner } from './sessions-harness.ts'
import { queueCases } from './sessions-queues.ts'
import { restartCases } from './sessions-restarts.ts'

export type { SessionsOwner } from './sessions-harness.ts'

/** Defines one test on an owner of its own. */
export type SessionsCase = (title: string, run: (harness: SessionsHarness) => Promise<void>, limits?: Partial<QueueLimits>) => void

/**
 * The contract of the `sessions` service (core/sessions/session-store.ts), for any owner. Verbs may answer at once or later, so every
 * one is awaited; what is not awaited is meant to overlap.
 */
export function sessionsContract({ describe, it }: ContractRunner, owner: SessionsOwner): void {
  describe(`sessions kept ${owner.name}`, () => {
    const one: SessionsCase = (title, run, limits = {}) =>
      it(title, async () => {
        const harness = new SessionsHarness(owner, limits)
        await harness.create()
        try {
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    claimCases(one)
    queueCases(one)
    handshakeCases(one)
    boundCases(one)
    endingCases(one)
    if (owner.reopen !== undefined) restartCases(one)
  })
}
