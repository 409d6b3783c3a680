import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { onDisk, onMemory, onRedis } from './fault-stores.ts'
import { type FaultStore, killPoint, killRounds, randomFrom } from './faults.ts'

const built = beforeAllBuilt()
const run = (store: FaultStore) => ({ program: built.path('presets/bin.js'), store })
const seed = 20_261_126

const stores = { disk: onDisk, redis: () => onRedis() }

for (const [name, create] of Object.entries(stores)) {
  test(`three rounds of kill -9 in the midst of traffic 50 deep lose nothing that was acknowledged: ${name}`, async () => {
    const store = await create()
    try {
      const { acknowledged, wrong } = await killRounds(run(store), { rounds: 3, random: randomFrom(seed) })
      expect(wrong).toEqual([])
      expect(acknowledged).toBeGreaterThanOrEqual(3 * 300 * 8)
    } finally {
      await store.stop()
    }
  }, 300_000)

  test(`a kill behind each write to the store and behind each write to a socket, of a QoS 1 and a QoS 2 exchange: ${name}`, async () => {
    const points = await allPoints(create)
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

/** Kills at each point in turn, two side by side; returns how many there are. */
async function allPoints(create: () => FaultStore | Promise<FaultStore>): Promise<number> {
  let next = 1
  let count = Number.POSITIVE_INFINITY
  const one = async (): Promise<void> => {
    while (next <= count) {
      const at = next++
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
