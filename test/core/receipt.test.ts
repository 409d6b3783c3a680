import { expect, test } from 'vitest'
import { Receipt } from '../../core/messages/receipt.ts'

test('settles when everybody who held it has let go, its maker included', () => {
  const receipt = new Receipt()
  const told: (Error | undefined)[] = []
  receipt.onSettled(error => told.push(error))
  receipt.hold()
  receipt.hold()
  receipt.release()
  receipt.release()
  expect(receipt.settled).toBe(false)
  receipt.release()
  expect(receipt.settled).toBe(true)
  expect(told).toEqual([undefined])
})

test('tells the first error, after all have let go', () => {
  const receipt = new Receipt()
  const told: (Error | undefined)[] = []
  receipt.onSettled(error => told.push(error))
  receipt.hold()
  receipt.hold()
  receipt.release(new Error('first'))
  receipt.release(new Error('second'))
  expect(told).toEqual([])
  receipt.release()
  expect(told).toEqual([new Error('first')])
  expect(receipt.error).toEqual(new Error('first'))
})

test('tells at once whoever asks when it has settled', () => {
  const receipt = new Receipt()
  receipt.release(new Error('away'))
  const told: (Error | undefined)[] = []
  receipt.onSettled(error => told.push(error))
  expect(told).toEqual([new Error('away')])
})

test('is not told twice by one release too many, and cannot be held again', () => {
  const receipt = new Receipt()
  let told = 0
  receipt.onSettled(() => {
    told += 1
  })
  receipt.release()
  receipt.release(new Error('late'))
  expect(told).toBe(1)
  expect(receipt.error).toBeUndefined()
  expect(() => receipt.hold()).toThrow('hold it synchronously')
})

test('says who holds it, by the names that were given, each as often as it holds', () => {
  const held = new Receipt()
  held.holdAs('cluster')
  held.holdAs('messageBridge')
  held.holdAs('cluster')
  const release = held.hold('audit')
  held.release()
  expect(held.holders).toEqual(['cluster', 'messageBridge', 'cluster', 'audit'])
  held.release(undefined, 'cluster')
  release()
  // A second call does nothing.
  release()
  expect(held.holders).toEqual(['messageBridge', 'cluster'])
  held.hold()
  expect(held.holders).toEqual(['messageBridge', 'cluster', 'the session store, or a plugin that gives no name'])
  held.release()
  held.release(undefined, 'messageBridge')
  held.release(new Error('away'), 'cluster')
  expect([held.settled, held.error?.message, held.holders]).toEqual([true, 'away', []])
})
