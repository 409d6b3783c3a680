import type { DeclaredCounter, DeclaredCounts } from '../../core/counter-names.ts'
import type { Counters } from '../../core/counters.ts'
import type { Figures } from './figures.ts'

/**
 * Adds what a plugin counts to the counters, before it is applied; what is there already stays. Two plugins may count one thing. Plain fields like core's own: V8 keeps
 * an object fast that grows by some 15 fields, and the built-in plugins add 14 to the one that grows most.
 */
export function declareCounts(all: Counters, figures: Figures, { limits = [], dropReasons = [], counters = {} }: DeclaredCounts): void {
  for (const limit of limits) all.limited[limit] ??= 0
  for (const reason of dropReasons) all.dropped[reason] ??= 0
  const own = all as unknown as Record<string, number>
  for (const [name, { figure, help = '' }] of Object.entries<DeclaredCounter>(counters)) {
    if (name in own) continue
    own[name] = 0
    if (figure !== undefined) figures.add({ name: figure, help, type: 'counter', read: () => [{ value: own[name]! }] })
  }
}
