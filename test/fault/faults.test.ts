import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { onDisk, onMemory, onRedis } from './fault-stores.ts'
import { type FaultStore, killPoint, killRounds, randomFrom } from './faults.ts'

const built = beforeAllBuilt()
const run = (store: FaultStore) => ({ program: built.path('presets/bin.js'), store })
const seed = 20_261_126
// `npm run fault` has more rounds, and all points: here the tests are to end within minutes.
const rounds = 1

// Of a store: how it is made, and which points are tried.
const stores = { disk: { create: onDisk, every: 3 }, redis: { create: () => onRedis(), every: 5 } }

for (const [name, { create, every }] of Object.entries(stores)) {
  test(`kill -9 in the midst of traffic 50 deep loses nothing that was acknowledged: ${name}`, async () => {
    const store = await create()
    try {
      const { acknowledged, wrong } = await killRounds(run(store), { rounds, random: randomFrom(seed) })
      expect(wrong).toEqual([])
      expect(acknowledged).toBeGreaterThanOrEqual(rounds * 300 * 8)
    } finally {
      await store.stop()
    }
  }, 300_000)

  test(`a kill behind writes to the store and to sockets, of a QoS 1 and a QoS 2 exchange: ${name}, one of ${every}`, async () => {
    const points = await killPoints(create, every)
    expect(points).toBeGreaterThan(10)
  }, 300_000)
}

test.each(['kill', 'freeze'] as const)(
  'Redis dies in the midst of it, and comes back with what it had written: %s',
  async what => {
    const store = await onRedis()
    try {
      const { acknowledged, wrong } = await killRounds(run(store), { rounds: 1, random: randomFrom(seed), what })
      expect(wrong).toEqual([])
      expect(acknowledged).toBeGreaterThanOrEqual(300 * 8)
    } finally {
      await store.stop()
    }
  },
  300_000,
)

test('the same rounds on memory, which promises nothing, are found out', async () => {
  const store = onMemory()
  const { wrong } = await killRounds(run(store), { rounds: 1, random: randomFrom(seed) })
  expect(wrong).toContain('reader-5: no session at connection 2')
})

/** Kills at the points in turn, two side by side; returns how many there are. `every`: one of so many is tried. */
async function killPoints(create: () => FaultStore | Promise<FaultStore>, every: number): Promise<number> {
  let next = 1
  let count = Number.POSITIVE_INFINITY
  const one = async (): Promise<void> => {
    while (next <= count) {
      const at = next
      next += every
      const store = await create()
      try {
        const outcome = await killPoint(run(store), at)
        if (outcome === null) count = Math.min(count, at - 1)
        else expect({ at, wrong: outcome.wrong }).toEqual({ at, wrong: [] })
      } finally {
        await store.stop()
      }
    }
  }
  await Promise.all([one(), one()])
  return count
}
