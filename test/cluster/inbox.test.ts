import { expect, test } from 'vitest'
import { Inbox } from '../../plugins/cluster/inbox.ts'
import { messageOf } from '../core/messages.ts'
import { startBroker } from '../support/broker.ts'

// Goal: what other nodes send waits for its turn as what a client publishes does: in order, and of what may be lost not without end.

/** An inbox whose frames each rest as often as they say, and what it has dealt with. */
function resting() {
  const done: string[] = []
  const wakes: (() => void)[] = []
  const inbox = new Inbox(function* (from, frame) {
    for (let i = 0; i < frame[0]!; i++) yield new Promise<void>(resolve => wakes.push(resolve))
    done.push(`${from} ${frame.length}`)
  })
  const settle = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }
  return { inbox, done, settle, wake: () => wakes.shift()?.() }
}

test('a frame that has room in this turn is dealt with at once; what comes behind one that rests waits, in order', async () => {
  const { inbox, done, settle, wake } = resting()
  expect(inbox.take('a', Buffer.from([0]), true)).toBeUndefined()
  expect(done).toEqual(['a 1'])
  const rests = inbox.take('a', Buffer.from([2, 0]), false)
  const behind = inbox.take('b', Buffer.from([0, 0, 0]), true)
  expect([rests, behind]).not.toContain(undefined)
  await settle()
  expect(done).toEqual(['a 1'])
  wake()
  await settle()
  expect(done).toEqual(['a 1'])
  wake()
  await Promise.all([rests, behind])
  expect(done).toEqual(['a 1', 'a 2', 'b 3'])
  expect(inbox.take('c', Buffer.from([0]), true)).toBeUndefined()
  expect(done.at(-1)).toBe('c 1')
})

test('while too much waits, what was told is lost and counted, and what was posted is not', async () => {
  const { inbox, done, wake } = resting()
  const first = inbox.take('a', Buffer.from([1]), false)
  const large = Buffer.alloc(33_554_433)
  expect(inbox.take('a', large, true)).toBeDefined()
  expect(inbox.take('a', Buffer.from([0, 0]), true)).toBeUndefined()
  expect(inbox.take('a', Buffer.from([0, 0, 0]), false)).toBeDefined()
  wake()
  await first
  expect(done).toEqual(['a 1', `a ${large.length}`, 'a 3'])
  expect(inbox.lost).toBe(1)
})

test('what another node hands over is under the same budget as what clients publish', async () => {
  const { broker, connect } = await startBroker()
  const holder = await connect()
  const levels = 13
  const filters = Array.from(
    { length: 2 ** levels },
    (_, i) => `${Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/')}/+`,
  )
  await holder.subscribe(filters)
  const receive = (topic: string) => broker.receive(messageOf('', { topic, qos: 0, origin: 'peer' }), true, [])
  expect(receive('elsewhere')).toBeUndefined()
  const rest = receive(`${'x/'.repeat(levels)}0`)
  expect(rest).toBeDefined()
  await rest
  // A turn later there is room again.
  expect(receive('elsewhere/2')).toBeUndefined()
})
