import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { drawPlan, faultKinds } from './plan.ts'
import { planOf } from './shrink.ts'
import { simulate } from './simulate.ts'

const found = fileURLToPath(new URL('found/', import.meta.url))
// Seconds of CPU for seeds that nobody has run yet.
const freshSeconds = 4

test.each([
  [1, 'disk'],
  [3, 'memory'],
] as const)('one seed is one run: %i with sessions in %s', async (nodes, store) => {
  const plan = drawPlan({ seed: 7, nodes, store, faults: faultKinds })
  const [first, second] = [await simulate(plan), await simulate(plan, true)]
  expect(second.hash).toBe(first.hash)
  expect(first.operations).toBeGreaterThanOrEqual(300)
  expect(first.faults).toBeGreaterThanOrEqual(5)
})

describe('what has been found stays mended', () => {
  test.each(readdirSync(found).filter(name => name.endsWith('.json')))('%s', async name => {
    const { violations } = await simulate(planOf(readFileSync(found + name, 'utf8')))
    expect(violations).toEqual([])
  })
})

describe('seeds that nobody has run yet', () => {
  test.each(['memory', 'disk'] as const)('with sessions in %s', { timeout: 60_000 }, async store => {
    const began = process.cpuUsage()
    for (let seed = Date.now() % 2 ** 31; ; seed++) {
      const { violations } = await simulate(drawPlan({ seed, nodes: 1, store, faults: faultKinds }))
      expect(violations, `npm run simulate -- --store ${store} --seed ${seed} --shrink test/simulation/found/NAME.json`).toEqual([])
      const { user, system } = process.cpuUsage(began)
      if ((user + system) / 1e6 > freshSeconds) break
    }
  })
})
