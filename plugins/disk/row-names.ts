import { cutText } from '../kit/cut-text.ts'
import { isWholeTopic, Kind, readNumber } from './keys.ts'

/** What a row is, for whoever has to be told of it. */
export interface NamedRow {
  /** One word, for counters: `queue`. */
  readonly kind: string
  /** All that its key says: `entry 4711 of the queue of session 12`. */
  readonly text: string
  /** The number of the session that it belongs to; null: it belongs to none. */
  readonly session: number | null
}

const singles = [
  'the version of the format',
  'the next free number',
  'the number of retained messages',
  'the total of all queues',
  'the time of the folder',
  'the bytes of retained messages',
  'how far the checksums go',
]

/** A row of the folder of `disk`. */
export function nameStoreRow(key: Buffer): NamedRow {
  const of = (kind: string, text: string, session: number | null = null): NamedRow => ({ kind, text, session })
  // What is shorter than keys of its kind are has been damaged itself.
  const number = key.length >= 7 ? readNumber(key, 1) : -1
  switch (key[0]) {
    case Kind.Single:
      return of('single', singles[key[1] ?? -1] ?? 'a row that this version does not know')
    case Kind.Session:
      return of('session', `session ${number}`, number)
    case Kind.Subscription:
      return of('subscription', `the subscription of session ${number} to ${cutText(key.toString('utf8', 7))}`, number)
    case Kind.Received:
      return of('received', `a received packet identifier of session ${number}`, number)
    case Kind.Intention:
      return of('intention', `what stands under a packet identifier of session ${number} until its message is in all parts`, number)
    case Kind.Taken:
      return of('taken', `a message that session ${number} has taken while it was on its way to other parts`, number)
    case Kind.Queue:
      return of('queue', `entry ${key.length >= 13 ? readNumber(key, 7) : '?'} of the queue of session ${number}`, number)
    case Kind.Body:
      return of('body', `message ${number}, which waits in several queues`)
    case Kind.References:
      return of('references', `how many queues message ${number} waits in`)
    case Kind.Will:
      return of('will', `the will of session ${number}`, number)
    case Kind.CleanWill:
      return of('will', `the will of ${cutText(key.toString('utf8', 7).replace('\0', '/'))}, whose session ends with its connection`)
    case Kind.Ended:
      return of('ended', `session ${number}, which has ended`, number)
    case Kind.Life:
      return of('life', `the last sign of life of run ${number} of the broker`)
    case Kind.State:
      return of('state', `${cutText(key.toString('utf8', 1))} of the state`)
    case Kind.Retained:
      return of(
        'retained',
        `the retained message of ${cutText(key.toString('utf8', 1, isWholeTopic(key) ? key.length : 1001).replaceAll('\0', '/'))}`,
      )
    default:
      return of('unknown', 'a row of no known kind')
  }
}

/** A row of the folder of `diskQueue`. */
export function nameQueueRow(key: Buffer): NamedRow {
  switch (key[0]) {
    case Kind.Single:
      return { ...nameStoreRow(key), kind: 'single' }
    case 0x4e:
      return { kind: 'queue', text: `the number of queue ${cutText(key.toString('utf8', 1))}`, session: null }
    case 0x51:
      return {
        kind: 'segment',
        text: key.length >= 11 ? `part ${readNumber(key, 5)} of queue ${key.readUInt32BE(1)}` : 'a part of a queue',
        session: null,
      }
    default:
      return { kind: 'unknown', text: 'a row of no known kind', session: null }
  }
}
