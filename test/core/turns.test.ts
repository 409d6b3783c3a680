import { expect, test } from 'vitest'
import { Gate } from '../../core/connection/turns.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'

const turn = () => new Promise(resolve => setImmediate(resolve))

test('a gate lets the first of a turn through at once, and the others in the next turns, in order', async () => {
  const gate = new Gate(new SystemClock(), 2)
  const through: number[] = []
  for (let i = 1; i <= 7; i++) {
    const wait = gate.pass()
    if (wait === undefined) through.push(i)
    else wait.then(() => through.push(i))
  }
  expect(through).toEqual([1, 2])
  await turn()
  expect(through).toEqual([1, 2, 3, 4])
  // Who comes now stands behind those who wait.
  gate.pass()?.then(() => through.push(8))
  await turn()
  expect(through).toEqual([1, 2, 3, 4, 5, 6])
  await turn()
  expect(through).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  await turn()
  await turn()
  expect(gate.pass()).toBeUndefined()
})
