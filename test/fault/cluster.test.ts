import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { clusterRounds } from './cluster-faults.ts'
import { randomFrom } from './faults.ts'

const built = beforeAllBuilt()

const faults = [
  ['kill -9 of one', 'kill', 1],
  ['one that freezes until the others took it for dead, and goes on', 'freeze', 1],
  ['one cut off from Redis', 'cut', 1],
  ['all connections to Redis cut', 'connections', 1],
  ['Redis killed, its replica takes over', 'failover', 1],
] as const

test.each(faults)(
  'three brokers in the midst of traffic lose nothing that was acknowledged, and repeat no QoS 2: %s',
  async (_name, what, rounds) => {
    const random = randomFrom(20_261_126)
    const { acknowledged, wrong } = await clusterRounds(built.path('presets/bin.js'), { rounds, random, what, awayMs: 3000 })
    expect(wrong).toEqual([])
    expect(acknowledged).toBeGreaterThanOrEqual(rounds * 300 * 8)
  },
  300_000,
)
