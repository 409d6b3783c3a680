import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { randomFrom } from './faults.ts'
import { webhookRounds } from './webhook-rounds.ts'

const built = beforeAllBuilt()

test.each(['local', 'remote'] as const)(
  'kill -9 of the broker and of the server that it posts to, amid messages, ack %s: what was acknowledged is there',
  async promise => {
    const program = built.path('presets/bin.js')
    const options = { promise, trouble: 'both', rounds: 1, perRound: 100, awayMs: 0, random: randomFrom(2507) } as const
    expect((await webhookRounds(program, options)).wrong).toEqual([])
  },
  60_000,
)
