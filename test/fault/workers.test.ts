import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { randomFrom } from './faults.ts'
import { workerRounds } from './worker-faults.ts'

const built = beforeAllBuilt()

// `npm run fault -- --workers N` has more rounds, and kills the supervisor, too.
test.each([
  ['one of its workers', 'worker'],
  ['all of its processes', 'all'],
] as const)(
  'a broker of two workers on disk loses %s in the midst of traffic, and nothing that was acknowledged',
  async (_name, what) => {
    const options = { rounds: 1, random: randomFrom(20_261_130), what, workers: 2 }
    const { acknowledged, wrong } = await workerRounds(built.path('presets/bin.js'), options)
    expect(wrong).toEqual([])
    expect(acknowledged).toBeGreaterThanOrEqual(300 * 8)
  },
  300_000,
)
