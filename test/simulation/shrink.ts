import type { Action, Plan } from './plan.ts'
import { watcherId } from './plan.ts'
import { type Outcome, simulate } from './simulate.ts'

/** What is wrong, without who and when: a smaller plan fails in the same way if this is the same. */
export function kindOf({ violations }: Outcome): string | null {
  const [first] = violations
  if (first === undefined) return null
  const text = first.replace(/^\S+ /, '').split('\n')[0]!
  return text
    .replaceAll(/\b(?:c\d+|o\d+|w\d+|n\d+)(?:\.\d+)?\b/g, '_')
    .replaceAll(/\d+(?:\.\d+)?/g, '0')
    .replaceAll(/(?:\$share\/\w+\/)?[abrswx]\/[\w/#+]*/g, 'T')
}

/** Leaves out clients and actions for as long as what is left fails in the same way; `runsMax` runs at most. */
export async function shrink(plan: Plan, runsMax = 600, tell: (text: string) => void = () => {}): Promise<Plan> {
  const kind = kindOf(await simulate(plan))
  if (kind === null) throw new Error('nothing is wrong with this plan')
  let best = plan
  let runs = 0
  const takes = async (smaller: Plan): Promise<boolean> => {
    if (runs >= runsMax) return false
    runs += 1
    if (kindOf(await simulate(smaller)) !== kind) return false
    best = smaller
    tell(`${best.clients.length} clients, ${best.actions.length} actions after ${runs} runs`)
    return true
  }
  const without = (id: string): Plan => ({
    ...best,
    clients: best.clients.filter(client => client.id !== id),
    actions: best.actions.filter(action => !('who' in action) || action.who !== id),
  })
  for (const { id } of plan.clients) if (id !== watcherId) await takes(without(id))
  for (let size = Math.ceil(best.actions.length / 2); size >= 1 && runs < runsMax; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.actions.length && runs < runsMax; ) {
      const actions = best.actions.filter((_, i) => i < from || i >= from + size)
      if (!(await takes({ ...best, actions }))) from += size
    }
  }
  for (const { id } of best.clients) if (id !== watcherId && best.clients.some(client => client.id === id)) await takes(without(id))
  await takes({ ...best, mqtt: {} })
  // Nothing happens behind what has failed, and rest may come at once.
  const last = best.actions.at(-1)?.at ?? 0
  await takes({ ...best, ends: last + 100 })
  return best
}

/** The plan as a file of test/simulation/found, which vitest runs. */
export function scriptOf(plan: Plan): string {
  const line = (value: Action | object): string => `    ${JSON.stringify(value, numbers)}`
  const head = JSON.stringify({ seed: plan.seed, nodes: plan.nodes, store: plan.store, mqtt: plan.mqtt, ends: plan.ends }).slice(1, -1)
  return `{\n  ${head},\n  "clients": [\n${plan.clients.map(line).join(',\n')}\n  ],\n  "actions": [\n${plan.actions.map(line).join(',\n')}\n  ]\n}\n`
}

/** What `scriptOf` has written. */
export function planOf(script: string): Plan {
  return JSON.parse(script, (_key, value) => (value === 'Infinity' ? Number.POSITIVE_INFINITY : value)) as Plan
}

// JSON has no infinity.
function numbers(_key: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? 'Infinity' : value
}
