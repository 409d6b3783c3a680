import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IdSet } from '../../plugins/memory/id-set.ts'

test('holds what a Set holds, in its order, short and long', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 60 })), { maxLength: 400 })
  fc.assert(
    fc.property(steps, all => {
      const [set, known] = [new IdSet(), new Set<number>()]
      for (const [adds, id] of all) {
        if (adds) {
          set.add(id)
          known.add(id)
        } else {
          set.delete(id)
          known.delete(id)
        }
        expect([...set]).toEqual([...known])
      }
    }),
  )
})
