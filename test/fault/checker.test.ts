import { expect, test } from 'vitest'
import { check } from './checker.ts'
import type { FaultEvent } from './history.ts'

// Goal: the checker of the fault tests finds what is wrong with a history, and nothing where nothing is.

const connected = (sessionPresent = true, client = 'r'): FaultEvent => ({ kind: 'connected', client, sessionPresent })
const broken: FaultEvent = { kind: 'broken', client: 'r' }
const acknowledged = (sequence: number, topic = 't', qos: 1 | 2 = 1): FaultEvent => ({
  kind: 'acknowledged',
  client: 'p',
  topic,
  sequence,
  qos,
})
const arrival = (sequence: number, packetId: number, more: object) => ({
  topic: 't',
  sequence,
  qos: 1 as const,
  packetId,
  dup: false,
  ...more,
})
const received = (sequence: number, packetId = sequence, more: object = {}): FaultEvent => ({
  kind: 'received',
  client: 'r',
  fresh: true,
  ...arrival(sequence, packetId, more),
})
const answered = (sequence: number, packetId = sequence, more: object = {}): FaultEvent => ({
  kind: 'answered',
  client: 'r',
  ...arrival(sequence, packetId, more),
})
const again = { dup: true, fresh: false }

test('has nothing against a history without faults, however often its connections broke', () => {
  const history = [
    connected(false),
    acknowledged(1),
    received(1),
    answered(1),
    received(2),
    acknowledged(2),
    received(3),
    broken,
    connected(),
    // The answer to 1 was written in vain; 2 and 3 were in flight.
    received(1, 1, again),
    received(2, 2, again),
    broken,
    connected(),
    received(1, 1, again),
    answered(1),
    received(2, 2, again),
    answered(2),
    received(3, 3, again),
    answered(3),
    // Its publisher had sent this one again: at QoS 1 that is a message like any other.
    received(3, 4),
    received(4, 5),
  ]
  expect(check(history, ['r'])).toEqual([])
})

test('an identifier that is given again begins anew, though its message was first seen as a repeat', () => {
  const history = [
    connected(false),
    received(1, 2),
    answered(1, 2),
    received(2, 1),
    // The next one under identifier 2 is on its way when the connection breaks.
    broken,
    connected(),
    received(2, 1, again),
    received(3, 2, { dup: true }),
    broken,
    connected(),
    received(2, 1, again),
    received(3, 2, again),
  ]
  expect(check(history, ['r'])).toEqual([])
})

test.each([
  [
    'an acknowledged message that never comes',
    [connected(false), acknowledged(1), acknowledged(2), received(2)],
    ['r: t #1 was acknowledged and is lost'],
  ],
  [
    'a QoS 2 message that comes twice',
    [connected(false), received(1, 1, { qos: 2 }), answered(1, 1, { qos: 2 }), received(1, 2, { qos: 2 })],
    ['r: t #1 came twice'],
  ],
  ['a topic out of order', [connected(false), received(2), received(1)], ['r: t #1 came behind 2']],
  ['a session that is gone', [connected(false), broken, connected(false)], ['r: no session at connection 2']],
  ['a repeat without DUP', [connected(false), received(1), broken, connected(), received(1, 1)], ['r: t #1 came again without DUP']],
  [
    'a repeat under another identifier',
    [connected(false), received(1), broken, connected(), received(1, 9)],
    ['r: t #1 came before t #1, which was in flight'],
  ],
  [
    'an identifier in flight that another message gets',
    [connected(false), received(1), broken, connected(), received(2, 1)],
    ["r: identifier 1 was t #1's and came with t #2"],
  ],
  [
    'repeats in another order',
    [connected(false), received(1), received(2), broken, connected(), received(2, 2, again), received(1, 1, again)],
    ['r: t #2 came again before t #1'],
  ],
  [
    'a new message before what was in flight',
    [connected(false), received(1), broken, connected(), received(2)],
    ['r: t #2 came before t #1, which was in flight'],
  ],
  [
    'something in flight that is forgotten two connections later',
    [
      connected(false),
      received(1),
      received(2),
      broken,
      connected(),
      received(1, 1, again),
      broken,
      connected(),
      received(1, 1, again),
      received(3),
    ],
    ['r: t #3 came before t #2, which was in flight'],
  ],
] as [string, FaultEvent[], string[]][])('finds %s', (_what, history, wrong) => {
  expect(check(history, ['r'])).toEqual(wrong)
})

test('asks of every reader that it has everything', () => {
  const other = { ...received(1), client: 's' }
  expect(check([connected(false), connected(false, 's'), acknowledged(1), other], ['r', 's'])).toEqual([
    'r: t #1 was acknowledged and is lost',
  ])
})
