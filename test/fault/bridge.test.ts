import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { bridgeRounds } from './bridge-rounds.ts'
import { randomFrom } from './faults.ts'

const built = beforeAllBuilt()

test.each(['local', 'remote', 'once'] as const)(
  'two brokers with a bridge, both ways, and kill -9 of both amid messages: what was acknowledged arrives, as the rule promises (%s)',
  async promise => {
    const program = built.path('presets/bin.js')
    const options = { promise, trouble: 'both', rounds: 1, perRound: 100, awayMs: 0, random: randomFrom(2514) } as const
    expect((await bridgeRounds(program, options)).wrong).toEqual([])
  },
  60_000,
)
