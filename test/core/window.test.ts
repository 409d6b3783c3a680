import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeliveryTerms } from '../../core/routing/delivery-terms.ts'
import { Handshake, type Inflight, Window } from '../../core/sessions/window.ts'
import { messageOf } from './messages.ts'

const idsOf = (window: Window) => [...window.entries()].map(({ packetId }) => packetId)

test('never gives an identifier that is in flight, finds what is, and keeps the order, whatever is acknowledged when', () => {
  const steps = fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant('open' as const) }, { weight: 4, arbitrary: fc.nat(100) }), {
    maxLength: 400,
    size: 'max',
  })
  fc.assert(
    fc.property(steps, list => {
      const window = new Window(60)
      const inflight: { id: number; slot: Inflight }[] = []
      for (const step of list) {
        if (step === 'open') {
          if (!window.hasRoom) continue
          const slot = window.open()
          expect(inflight.some(({ id }) => id === slot.packetId)).toBe(false)
          inflight.push({ id: slot.packetId, slot })
        } else if (inflight.length > 0) {
          const [{ id, slot }] = inflight.splice(step % inflight.length, 1) as [{ id: number; slot: Inflight }]
          window.close(slot)
          expect(window.find(id)).toBeUndefined()
        }
        expect(window.count).toBe(inflight.length)
        expect(idsOf(window)).toEqual(inflight.map(({ id }) => id))
        for (const { id, slot } of inflight) expect(window.find(id)).toBe(slot)
      }
    }),
    { numRuns: 25 },
  )
})

describe('a packet identifier', () => {
  test('begins at 1, rises, is never 0, and after 65,535 comes 1 again [MQTT-2.2.1-3]', () => {
    const window = new Window(10)
    const ids: number[] = []
    for (let i = 0; i < 65_537; i++) {
      const slot = window.open()
      ids.push(slot.packetId)
      window.close(slot)
    }
    expect(ids.slice(0, 3)).toEqual([1, 2, 3])
    expect(ids.slice(65_534)).toEqual([65_535, 1, 2])
    expect(ids.includes(0)).toBe(false)
  })

  test('that is never acknowledged is never given again, and stays the oldest [MQTT-2.2.1-4]', () => {
    const window = new Window(10)
    const stuck = window.open()
    let again = 0
    for (let i = 0; i < 200_000; i++) {
      const slot = window.open()
      if (slot.packetId === stuck.packetId) again += 1
      window.close(slot)
    }
    expect(again).toBe(0)
    const last = window.open()
    expect(idsOf(window)).toEqual([stuck.packetId, last.packetId])
  })

  test('is free for all 65,535 at once', () => {
    const window = new Window(65_535)
    const ids = new Set<number>()
    while (window.hasRoom) ids.add(window.open().packetId)
    expect(ids.size).toBe(65_535)
    expect(Math.min(...idsOf(window))).toBe(1)
    window.close(window.find(777)!)
    expect(window.open().packetId).toBe(777)
  })

  test('0 and those never given are found by nobody', () => {
    const window = new Window(10)
    expect(window.find(0)).toBeUndefined()
    expect(window.find(1)).toBeUndefined()
    window.open()
    expect(window.find(0)).toBeUndefined()
    expect(window.find(17)).toBeUndefined()
    expect(window.find(65_535)).toBeUndefined()
  })
})

describe('a window that takes up what an earlier connection had in flight', () => {
  test('keeps identifiers and order, over the wrap too, and goes on behind them', () => {
    const window = new Window(100)
    const before = [65_000, 65_534, 65_535, 1, 2, 40]
    for (const id of before) window.reopen(id)
    expect(idsOf(window)).toEqual(before)
    const next = Array.from({ length: 40 }, () => window.open().packetId)
    expect(next).toEqual(Array.from({ length: 40 }, (_, i) => 41 + i))
    expect(idsOf(window)).toEqual([...before, ...next])
    for (const id of before) expect(window.find(id)?.packetId).toBe(id)
  })

  test('holds identifiers whatever lies between them', () => {
    const window = new Window(100)
    const before = [5, 5 + 1024, 5 + 2048, 5 + 32_768]
    for (const id of before) window.reopen(id)
    expect(idsOf(window)).toEqual(before)
  })

  test('gives one identifier to one message: taking it up twice is an error, not a loop', () => {
    const window = new Window(100)
    window.reopen(7)
    expect(() => window.reopen(7)).toThrow(RangeError)
  })
})

test('hands out slots that remember nothing of the message before', () => {
  const window = new Window(10)
  const slot = window.open()
  slot.fill(messageOf('x'), new DeliveryTerms(1, false, [1], 'g'))
  slot.handshake = Handshake.AwaitPubcomp
  window.close(slot)
  const seen = new Set<Inflight>()
  for (let i = 0; i < 40; i++) {
    const next = window.open()
    seen.add(next)
    expect(next).toMatchObject({ terms: null, message: null, handshake: Handshake.Gated })
    window.close(next)
  }
  expect(seen.has(slot)).toBe(true)
})
