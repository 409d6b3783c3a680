import type { SyncHook } from 'tapable'
import type { ErrorCode } from '../../../core/error-codes.ts'

/** One message as it goes to another system. */
export interface BridgeRecord {
  /** Where it goes there: a Kafka topic, a NATS subject, a Redis stream. */
  readonly topic: string
  /** Records of one key keep their order. Never empty. */
  readonly key: string
  /** The payload, or the rule's JSON. It may be empty. */
  readonly value: Buffer
  /** By name; a list is a header that comes several times. Clients choose the names, so the object has no prototype: `constructor` is in it only where somebody sent it. */
  readonly headers: Readonly<Record<string, BridgeHeader>>
  /** When the broker received it: milliseconds since the Unix epoch. */
  readonly timestamp: number
}

/** A header of a bridged message: its name and value. */
export type BridgeHeader = string | Buffer | readonly string[]

/**
 * A system that messages are bridged to. A plugin hands one to the service `bridge`; rules name it by `target`. Queues, acknowledgements, repeats and
 * counters are the bridge's, so a target only has to send and to say what became of it: `docs/writing-a-bridge.md`.
 */
export interface BridgeTarget {
  /** What rules and log lines call it: `kafka`. */
  readonly name: string
  /** Where it is, for log lines: `localhost:9092`. */
  readonly place: string
  /**
   * A name that the system takes, made of what a rule's template came to; null where none can be made of it. Called once for each pair of rule and topic
   * name, so it may take its time.
   */
  legalName(text: string): string | null
  /** A way in of its own, for one lane. Opens nothing yet. */
  createSender(): BridgeSender
  /** Looks whether the system can be reached, for `check --connect`: resolves to a line about it, rejects with the cure. */
  probe?(): Promise<string>
  /** Called when all senders are closed. */
  close?(): void | Promise<void>
}

/** One lane's way into the system. */
export interface BridgeSender {
  /**
   * Sends the records in order; resolves when the system has all of them. A second call is made only when the first has ended. Rejects
   *
   * - with `RecordsRefusedError` where the system will never take some of them: those are refused, the others are sent again;
   * - with `TargetAwayError` where the system cannot be reached or cannot work: the same array comes again, after a pause, until it is taken;
   * - with anything else where it does not know: the same array comes again. When the error has repeated, records are sent one by one, and one that fails
   *   although others get through is refused.
   */
  send(records: readonly BridgeRecord[]): Promise<void>
  /** Gives everything back. A `send` that is still on its way may reject. */
  close(): Promise<void>
}

/** Records that the system will never take, whatever is done: too large, no such topic. */
export class RecordsRefusedError extends Error {
  override readonly name = 'RecordsRefusedError'
  readonly code = 'ERR_RECORDS_REFUSED' satisfies ErrorCode
  /** Which of those that were to be sent; empty: one of them, and the system does not say which. */
  readonly indexes: readonly number[]
  /** A word for counters and log lines, one of few: `MESSAGE_TOO_LARGE`. Default: `REFUSED`. */
  readonly reason: string

  constructor(indexes: readonly number[], message: string, { reason = 'REFUSED', ...options }: RecordsRefusedOptions = {}) {
    super(message, options)
    this.indexes = indexes
    this.reason = reason
  }
}

/** What there is to say besides of records that are refused. */
export interface RecordsRefusedOptions extends ErrorOptions {
  /** A word for counters and log lines, one of few: `MESSAGE_TOO_LARGE`. Default: `REFUSED`. */
  readonly reason?: string
}

/** The system cannot be reached, or cannot work: no record is to blame, so each waits until the system is back. The message names the cure. */
export class TargetAwayError extends Error {
  override readonly name = 'TargetAwayError'
  readonly code = 'ERR_TARGET_AWAY' satisfies ErrorCode
  /** Only a part of the system is away, such as one topic: where that lasts for a minute and other records get through, those for this part are refused. */
  readonly partly: boolean
  /** How long the system has asked to be left alone, in milliseconds: the next attempt is not made before. 0: it has said nothing. */
  readonly retryAfterMs: number

  constructor(message: string, { partly = false, retryAfterMs = 0, ...options }: TargetAwayOptions = {}) {
    super(message, options)
    this.partly = partly
    this.retryAfterMs = retryAfterMs
  }
}

/** What there is to say besides of a system that is away. */
export interface TargetAwayOptions extends ErrorOptions {
  /** Only a part of the system is away, such as one topic. Default: false. */
  readonly partly?: boolean
  /** How long the system has asked to be left alone, in milliseconds, as by `Retry-After`. Default: 0, it has said nothing. */
  readonly retryAfterMs?: number
}

/** What became of a batch that a bridge sent. */
export interface BridgeReport {
  /** The system: `kafka`. */
  readonly target: string
  /** Messages that it took. */
  readonly sent: number
  /** How many messages the other system will never take; each was parked, or `onDrop` was called for it. */
  readonly refused: number
  /** Why it takes none just now; null where it did. They are sent again. */
  readonly error: Error | null
  /** Messages that wait for it in this lane. */
  readonly waiting: number
  /** Milliseconds since the oldest of the batch was received. */
  readonly lagMs: number
}

/** The service `bridge`: takes in the systems that rules may name, and tells what becomes of messages. */
export interface BridgeTargets {
  /** A bridge has sent messages to another system, or failed to: once for each batch. Tap it in `apply`. */
  readonly onBridged: SyncHook<[BridgeReport]>
  /** Adds one; in `apply`. Two of one name are an `OperatorError`. */
  add(target: BridgeTarget): void
  /** Messages that a system refused though they were acknowledged; null where no queue on disk keeps any (plugin `diskQueue`). From `start` on. */
  parked(target: string): ParkedMessages | null
}

/** Messages that a system refused though their publishers had their acknowledgement. They are kept on disk, at most `messageBridge.parkedBytes` of them. */
export interface ParkedMessages {
  /** How many there are. */
  readonly length: number
  /** Bytes that they take. */
  readonly bytes: number
  /** The oldest behind a position, at most so many; `after` 0: from the first on. Shows what is on the disk. */
  page(after: number, limit: number): ParkedMessage[]
  /** Sends those that are parked now once more, behind all that waits; one that is refused again is parked again. Resolves to how many there were. */
  resend(): Promise<number>
  /** Forgets those that are parked now. Resolves to how many there were. */
  drop(): Promise<number>
}

/** One message that a system refused. */
export interface ParkedMessage {
  /** Rises with time; what `page` goes on from. */
  readonly position: number
  /** When it was refused, milliseconds since the Unix epoch. */
  readonly at: number
  /** Why, as the log says it. */
  readonly why: string
  /** Where it was to go: a Kafka topic. */
  readonly topic: string
  /** The topic name that it was published to. */
  readonly mqttTopic: string
  /** The client id of its publisher. */
  readonly clientId: string
  /** The payload as it was published. */
  readonly payload: Buffer
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Where messages are bridged to other systems: `messageBridge` owns it. */
    bridge: BridgeTargets
  }
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** The system that a bridge writes to will never take these records: `RecordsRefusedError`. */
    ERR_RECORDS_REFUSED: true
    /** The system that a bridge writes to cannot be reached, or cannot work: `TargetAwayError`. */
    ERR_TARGET_AWAY: true
  }
}
