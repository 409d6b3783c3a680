import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { answerRounds } from './answers.ts'
import { randomFrom } from './faults.ts'

const built = beforeAllBuilt()

test.each([
  ['nothing goes wrong', 'none', 2, 4],
  ['nothing goes wrong', 'none', 3, 4],
  ['one is frozen', 'freeze', 2, 1],
  ['one is cut off from Redis', 'cut', 3, 1],
  ['Redis is away', 'away', 2, 1],
] as const)(
  'while %s, answers of brokers that are processes hold at all of them: %s, %i brokers',
  async (_name, trouble, nodes, rounds) => {
    // How long answers take is measured by `npm run fault`: a busy machine must not fail this.
    const { wrong } = await answerRounds(built.path('presets/bin.js'), {
      nodes,
      rounds,
      trouble,
      random: randomFrom(20_261_129),
      timed: false,
    })
    expect(wrong).toEqual([])
  },
  300_000,
)
