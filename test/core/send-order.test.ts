import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inSendOrder } from '../../core/sessions/send-order.ts'

const ids = (...list: number[]) => list.map(packetId => ({ packetId }))
const span = 1000

test.each([
  [[], []],
  [[7], [7]],
  [
    [1, 2, 3],
    [1, 2, 3],
  ],
  // Another broker's message stands before one of our own that went out first.
  [
    [2, 1, 3],
    [1, 2, 3],
  ],
  [
    [100, 98, 99, 102, 101],
    [98, 99, 100, 101, 102],
  ],
  // Identifiers begin anew.
  [
    [65_534, 65_535, 1, 2],
    [65_534, 65_535, 1, 2],
  ],
  [
    [1, 65_535, 2],
    [65_535, 1, 2],
  ],
  // One that is never acknowledged stays the oldest.
  [
    [5, 60_000, 60_002, 60_001],
    [5, 60_000, 60_001, 60_002],
  ],
  // So many may have been in flight that one 999 below the first is older; one 1000 below it is newer by a round.
  [
    [2000, 1001],
    [1001, 2000],
  ],
  [
    [2000, 1000],
    [2000, 1000],
  ],
  // The same where the identifiers begin anew between them.
  [
    [500, 65_036],
    [65_036, 500],
  ],
  [
    [500, 65_035],
    [500, 65_035],
  ],
])('%j is sent again as %j', (stored, sent) => {
  expect(inSendOrder(ids(...stored), span)).toEqual(ids(...sent))
})

test('whatever stands a little apart from its place comes back to it', () => {
  const start = fc.integer({ min: 1, max: 65_535 })
  const steps = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 60 })
  const swaps = fc.array(fc.nat(58), { maxLength: 20 })
  fc.assert(
    fc.property(start, steps, swaps, (from, distances, places) => {
      let id = from
      const sent = ids(from, ...distances.map(step => (id = ((id + step - 1) % 65_535) + 1)))
      const stored = [...sent]
      for (const place of places) {
        if (place + 1 < stored.length) [stored[place], stored[place + 1]] = [stored[place + 1]!, stored[place]!]
      }
      expect(inSendOrder(stored, span)).toEqual(sent)
    }),
  )
})
