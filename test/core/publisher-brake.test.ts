import { expect, test } from 'vitest'
import { Receipt } from '../../core/messages/receipt.ts'
import { DeliveryTerms } from '../../core/routing/delivery-terms.ts'
import { MessageQueue, type QueuedDelivery } from '../../core/sessions/message-queue.ts'
import { PublisherBrake } from '../../core/sessions/publisher-brake.ts'
import { messageOf } from './messages.ts'

const patience = 10_000
const message = messageOf('x')

/** A queue of 100,000 places with so many messages in it, and its brake. */
function start(length: number) {
  const queue = new MessageQueue<QueuedDelivery>({ messagesMax: 100_000, bytesMax: 1e9, whenFull: 'dropNewest' })
  for (let i = 0; i < length; i++) queue.push({ message, terms: new DeliveryTerms(1, false, null, null) })
  const brake = new PublisherBrake(queue, 1000, 0, patience)
  const shorten = (to: number): void => {
    while (queue.length > to) queue.shift()
    brake.shortened()
  }
  /** The reader acknowledges so many in each of these quarters of a second. */
  const read = (from: number, to: number, each: number): void => {
    for (let now = from; now <= to; now += 250) for (let i = 0; i < each; i++) brake.acked(now)
  }
  return { queue, brake, shorten, read }
}

function held(brake: PublisherBrake, now: number): Receipt {
  const receipt = new Receipt()
  expect(brake.hold(receipt, now)).toBe(true)
  receipt.release()
  expect(receipt.settled).toBe(false)
  return receipt
}

test('slows publishers from half of the queue on, until less than a quarter is left', () => {
  const { queue, brake, shorten, read } = start(50_000)
  read(250, 750, 1)
  expect(brake.wants()).toBe(false)
  queue.push({ message, terms: new DeliveryTerms(1, false, null, null) })
  expect(brake.wants()).toBe(true)
  const receipt = held(brake, 0)
  shorten(25_000)
  expect(receipt.settled).toBe(false)
  shorten(24_999)
  expect(receipt.settled).toBe(true)
  expect(brake.holding).toBe(false)
})

test('slows those of a reader that keeps up from four times its window on', () => {
  const { brake, shorten, read } = start(4001)
  expect(start(4000).brake.wants()).toBe(false)
  read(250, 1000, 4000)
  expect(brake.wants()).toBe(true)
  const receipt = held(brake, 1000)
  shorten(2000)
  expect(receipt.settled).toBe(false)
  shorten(1999)
  expect(receipt.settled).toBe(true)
})

test('takes a reader for one that keeps up until a quarter of a second has shown that it does not: then it slows nobody before half of its queue', () => {
  const { brake, read } = start(20_000)
  expect(brake.wants()).toBe(true)
  read(250, 500, 3999)
  expect(brake.wants()).toBe(false)
})

test('lets publishers go when a reader that kept up stops, and when one acknowledges nothing for too long', () => {
  const brisk = start(4001)
  brisk.read(250, 1000, 4000)
  const first = held(brisk.brake, 1000)
  brisk.brake.look(1500)
  expect(first.settled).toBe(false)
  brisk.brake.look(1501)
  expect(first.settled).toBe(true)
  expect(brisk.brake.wants()).toBe(false)

  const { brake } = start(90_000)
  const second = held(brake, 0)
  brake.look(patience)
  expect(second.settled).toBe(false)
  brake.look(patience + 1)
  expect(second.settled).toBe(true)
  expect(brake.hold(new Receipt(), patience + 1)).toBe(false)
})

test('needs no second receipt of a connection whose acknowledgements wait behind the last one that it holds', () => {
  const { brake, shorten } = start(5000)
  const [one, other] = [{}, {}]
  expect(brake.wants(one)).toBe(true)
  const receipt = new Receipt()
  expect(brake.hold(receipt, 0, one)).toBe(true)
  receipt.release()
  expect(brake.wants(one)).toBe(false)
  expect(brake.wants(other)).toBe(true)
  // Of whom no acknowledgement waits.
  expect(brake.wants()).toBe(true)
  // Somebody else's has been held since: what stands behind which is not known any more.
  held(brake, 0)
  expect(brake.wants(one)).toBe(true)
  shorten(1999)
  expect(receipt.settled).toBe(true)
})
