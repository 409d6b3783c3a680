import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { emptiedRounds } from './emptied-rounds.ts'
import { randomFrom } from './faults.ts'
import { verdictRounds } from './verdict-rounds.ts'

const built = beforeAllBuilt()
const seed = 20_261_129

test('Redis loses all that it held in the midst of traffic 50 deep: what is sent from then on is not lost, and sessions are written again', async () => {
  const { acknowledged, wrong } = await emptiedRounds(built.path('presets/bin.js'), { rounds: 2, random: randomFrom(seed) })
  expect(wrong).toEqual([])
  expect(acknowledged).toBeGreaterThanOrEqual(2 * 300 * 8)
}, 300_000)

test('Redis refuses one session, one large message, or everything that needs room, and is there: nothing else is hit, and nothing acknowledged is lost', async () => {
  const { acknowledged, wrong } = await verdictRounds(built.path('presets/bin.js'), { rounds: 3, random: randomFrom(seed) })
  expect(wrong).toEqual([])
  expect(acknowledged).toBeGreaterThan(2 * 300 * 8)
}, 300_000)
