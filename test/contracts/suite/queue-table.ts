import { queuedBytes } from '../../../core/sessions/queue-policy.ts'
import type { QueueLimits } from '../../../core/sessions/session-store.ts'
import { messageOf } from './sessions-harness.ts'

/** One message that comes to a queue: its payload, which names it, what it counts for beyond an empty one, and by how many subscriptions it came. */
interface Arrival {
  readonly name: string
  readonly bytes?: number
  readonly identifiers?: number
}

/** What a queue with these limits does with what comes to it: the names that it keeps, and those that it drops, in order. */
export interface QueueRow {
  readonly title: string
  readonly limits: Partial<QueueLimits>
  readonly arrivals: readonly Arrival[]
  readonly kept: readonly string[]
  readonly dropped: readonly string[]
}

const empty = queuedBytes(messageOf(''))
const two = 2 * (empty + 10)

/** One table for every queue of a session: core's own, and that of each store. */
export const queueTable: readonly QueueRow[] = [
  {
    title: 'takes what fits to the last byte',
    limits: { bytesMax: two },
    arrivals: [
      { name: 'a', bytes: 10 },
      { name: 'b', bytes: 10 },
    ],
    kept: ['a', 'b'],
    dropped: [],
  },
  ...(['dropNewest', 'dropOldest'] as const).flatMap((whenFull): QueueRow[] => [
    {
      title: `is full by messages: ${whenFull}`,
      limits: { messagesMax: 2, whenFull },
      arrivals: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
      kept: whenFull === 'dropNewest' ? ['a', 'b'] : ['b', 'c'],
      dropped: whenFull === 'dropNewest' ? ['c'] : ['a'],
    },
    {
      title: `is full by one byte: ${whenFull}`,
      limits: { bytesMax: two, whenFull },
      arrivals: [
        { name: 'a', bytes: 10 },
        { name: 'b', bytes: 11 },
      ],
      kept: whenFull === 'dropNewest' ? ['a'] : ['b'],
      dropped: whenFull === 'dropNewest' ? ['b'] : ['a'],
    },
    {
      title: `drops nothing for a message that could never fit: ${whenFull}`,
      limits: { bytesMax: two, whenFull },
      arrivals: [{ name: 'a' }, { name: 'large', bytes: two }, { name: 'b' }],
      kept: ['a', 'b'],
      dropped: ['large'],
    },
    {
      title: `counts the subscription identifiers that a message carries: ${whenFull}`,
      limits: { bytesMax: 10_000, whenFull },
      arrivals: [
        { name: 'a', identifiers: 1000 },
        { name: 'b', identifiers: 1000 },
        { name: 'never', identifiers: 2000 },
      ],
      kept: whenFull === 'dropNewest' ? ['a'] : ['b'],
      dropped: [whenFull === 'dropNewest' ? 'b' : 'a', 'never'],
    },
    {
      title: `holds no message at all where it may have none: ${whenFull}`,
      limits: { messagesMax: 0, whenFull },
      arrivals: [{ name: 'a' }],
      kept: [],
      dropped: ['a'],
    },
  ]),
  {
    title: 'drops as many of the oldest as a large message needs the bytes of',
    limits: { bytesMax: 3 * empty + 30, whenFull: 'dropOldest' },
    arrivals: [{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'd', bytes: empty + 20 }],
    kept: ['c', 'd'],
    dropped: ['a', 'b'],
  },
]

/** The payload that counts for so many bytes and still names its message. */
export function payloadOf({ name, bytes = 0 }: Arrival): string {
  return name.padEnd(bytes, ' ')
}

export function identifiersOf({ identifiers }: Arrival): readonly number[] | null {
  return identifiers === undefined ? null : Array.from({ length: identifiers }, (_, i) => i + 1)
}
