import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { killNodes } from './cluster-faults.ts'
import { randomFrom } from './faults.ts'

const built = beforeAllBuilt()

test('kill -9 of one broker of three in the midst of traffic loses nothing that was acknowledged, and repeats no QoS 2', async () => {
  const { acknowledged, wrong } = await killNodes(built.path('presets/bin.js'), { rounds: 3, random: randomFrom(20_261_126) })
  expect(wrong).toEqual([])
  expect(acknowledged).toBeGreaterThanOrEqual(3 * 300 * 8)
}, 120_000)
