import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fifo } from '../../plugins/kit/fifo.ts'

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), count: fc.integer({ min: 1, max: 1500 }) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('shift' as const), count: fc.integer({ min: 1, max: 1500 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('shiftFirst' as const), count: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('sift' as const), count: fc.integer({ min: 2, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('shiftAll' as const), count: fc.constant(0) }) },
  ),
  { maxLength: 30 },
)

test('gives back what it was given, in order, however it is taken', () => {
  fc.assert(
    fc.property(steps, list => {
      const fifo = new Fifo<number>()
      let model: number[] = []
      let next = 0
      for (const { kind, count } of list) {
        switch (kind) {
          case 'push':
            for (let i = 0; i < count; i++) {
              fifo.push(next)
              model.push(next++)
            }
            break
          case 'shift':
            for (let i = 0; i < count; i++) expect(fifo.shift()).toBe(model.shift())
            break
          case 'shiftFirst': {
            const isWanted = (item: number) => item % 7 === count
            const at = model.findIndex(isWanted)
            expect(fifo.shiftFirst(isWanted)).toBe(at === -1 ? undefined : model.splice(at, 1)[0])
            break
          }
          case 'sift':
            expect(fifo.sift(item => item % count !== 0)).toEqual(model.filter(item => item % count === 0))
            model = model.filter(item => item % count !== 0)
            break
          case 'shiftAll':
            expect(fifo.shiftAll()).toEqual(model)
            model = []
        }
        expect(fifo.length).toBe(model.length)
        expect(fifo.first).toBe(model[0])
        expect([...fifo]).toEqual(model)
      }
    }),
    { numRuns: 100 },
  )
})
