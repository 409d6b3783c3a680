import type { LastingPart } from '../kit/services/parts.ts'
import type { PartTerms } from './part-terms.ts'
import { lateMs } from './spread-append.ts'

/**
 * What a part remembers of QoS 2 messages that were on their way when a worker died is needed until they have been sent again. Once everything that was on its way has arrived, a token
 * that stands under no packet identifier in any part is that of a message that is through: nobody has said so, because whoever was to say it, or to hear it, has died.
 */
export function forgetNeedlessTokens(lasting: LastingPart, terms: PartTerms): void {
  const { self, all, calls, clock } = terms
  const look = async (): Promise<void> => {
    const asked = all.map(name => (name === self ? lasting.tokens() : (calls.now(name, 's.tokens') as Promise<readonly string[]>)))
    lasting.keepTokens(new Set((await Promise.all(asked)).flat()))
  }
  // A worker is away: later.
  clock.after(lateMs, () => void look().catch(() => forgetNeedlessTokens(lasting, terms)))
}
