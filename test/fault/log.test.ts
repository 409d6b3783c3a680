import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { onDisk } from './fault-stores.ts'
import { randomFrom } from './faults.ts'
import { logRounds } from './log-rounds.ts'

const built = beforeAllBuilt()

test('a round in which nobody reads the log any more, in the midst of traffic 50 deep, loses nothing, and the broker ends when it is asked to', async () => {
  const store = onDisk()
  try {
    const run = { program: built.path('presets/bin.js'), store }
    const { acknowledged, wrong } = await logRounds(run, { rounds: 1, random: randomFrom(20_261_129) })
    expect(wrong).toEqual([])
    expect(acknowledged).toBeGreaterThanOrEqual(300 * 8)
  } finally {
    await store.stop()
  }
}, 300_000)
