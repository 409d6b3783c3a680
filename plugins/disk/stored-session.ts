import type { SessionRecord } from './records.ts'
import type { SessionQueue } from './session-queue.ts'

/** How much lies in a queue. */
export interface QueueSize {
  readonly messages: number
  readonly bytes: number
}

/** What is held in memory of each stored session: who owns it and when it is due. Its queue only while it is in use. */
export class StoredSession implements SessionRecord {
  readonly clientId: string
  /** Its rows' number. */
  readonly number: number
  /** Of its owner; the session's number: it has had none since the broker began. */
  epoch: number
  user: string | null | undefined
  run: number
  closedAt: number
  expiryMs: number
  willDelayMs: number
  /** The node that its client is connected to; it may have been, where there is none. */
  node: string
  queue: SessionQueue | null
  /** What its queue had when it was left out of memory; null: the queue is in memory, or was not counted. */
  queued: QueueSize | null
  /** Rises with each SUBSCRIBE and UNSUBSCRIBE. */
  subscriptionChanges: number
  /** How many subscriptions there were at the change of that number; -1: not counted. */
  subscriptions: number
  countedAt: number
  /** The last batch that has something of it. */
  batch: number
  /** The earliest time under which it stands among the due times. */
  scheduledAt: number

  constructor(clientId: string, number: number) {
    this.clientId = clientId
    this.number = number
    this.epoch = number
    this.user = undefined
    this.run = 0
    this.closedAt = 0
    this.expiryMs = 0
    this.willDelayMs = -1
    this.node = ''
    this.queue = null
    this.queued = null
    this.subscriptionChanges = 0
    this.subscriptions = 0
    this.countedAt = -1
    this.batch = 0
    this.scheduledAt = Number.POSITIVE_INFINITY
  }

  get connected(): boolean {
    return this.run !== 0
  }

  /** Milliseconds since the Unix epoch; `Infinity` while connected, or for ever. */
  get expiresAt(): number {
    return this.connected ? Number.POSITIVE_INFINITY : this.closedAt + this.expiryMs
  }

  get willAt(): number {
    return this.connected || this.willDelayMs < 0 ? Number.POSITIVE_INFINITY : this.closedAt + this.willDelayMs
  }

  get dueAt(): number {
    return Math.min(this.expiresAt, this.willAt)
  }
}
