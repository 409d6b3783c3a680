import type { QueueLimits } from '../../../core/sessions/session-store.ts'
import type { ContractRunner } from './runner.ts'
import { boundCases } from './sessions-bounds.ts'
import { claimCases } from './sessions-claims.ts'
import { cleanWillCases } from './sessions-clean-wills.ts'
import { copyCases } from './sessions-copies.ts'
import { cornerCases } from './sessions-corners.ts'
import { emptiedCases } from './sessions-emptied.ts'
import { endingCases } from './sessions-endings.ts'
import { handshakeCases } from './sessions-handshakes.ts'
import { type SessionsFeature, SessionsHarness, type SessionsOwner } from './sessions-harness.ts'
import { listCases, peekCases, totalsCases } from './sessions-inspection.ts'
import { lackCase } from './sessions-lacks.ts'
import { queueCases } from './sessions-queues.ts'
import { restartCases } from './sessions-restarts.ts'
import { userCases } from './sessions-users.ts'

export type { SessionsFeature, SessionsOwner } from './sessions-harness.ts'

/** Defines one test on an owner of its own. */
export type SessionsCase = (title: string, run: (harness: SessionsHarness) => Promise<void>, limits?: Partial<QueueLimits>) => void

// What an owner may leave out, and the cases that are about it.
const optional: readonly (readonly [SessionsFeature, (test: SessionsCase, reopens: boolean) => void])[] = [
  ['user', userCases],
  ['keepWill', cleanWillCases],
  ['totals', totalsCases],
  ['peek', peekCases],
  ['list', listCases],
  ['inspect', copyCases],
]

/**
 * The contract of the `sessions` service (core/sessions/session-store.ts), for any owner. Verbs may answer at once or later, so every
 * one is awaited; what is not awaited is meant to overlap.
 */
export function sessionsContract({ describe, it }: ContractRunner, owner: SessionsOwner): void {
  const { lacks = [], reopen, empty } = owner
  const reopens = reopen !== undefined
  const without = lacks.length === 0 ? '' : `, without ${lacks.join(', ')}`
  describe(`sessions kept ${owner.name}${without}`, () => {
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
    cornerCases(one, reopens)
    if (reopens) restartCases(one)
    for (const [feature, cases] of optional) {
      if (lacks.includes(feature)) lackCase(one, feature)
      else cases(one, reopens)
    }
    if (empty !== undefined) emptiedCases(one)
  })
}
