import type { BatchWriter } from './batch-writer.ts'

/** What the batch script says of one operation: its kind, then what that kind tells. */
export interface Row {
  readonly kind: string
  readonly values: readonly unknown[]
}

const noQueues: readonly string[] = []

/** One write on its way to Redis. */
export class Operation {
  /** Bytes that it keeps in memory, roughly. */
  readonly bytes: number
  readonly write: (out: BatchWriter) => void
  /** It has been done; `rows` is null where there is nothing to say. May come long after `giveUp`. */
  readonly done: (rows: readonly Row[] | null) => void
  /** It cannot be done. */
  readonly failed: (error: Error) => void
  /** Whoever asked does not wait while Redis is away; null: waits. */
  giveUp: ((error: Error) => void) | null
  /** It fails where Redis has no room; what is not refusable makes room, or little of it is needed. */
  refusable: boolean
  /** Writes in other slots must come before it. */
  waits: boolean
  /** The sessions whose queues it touches, or whose owner it changes: it stays behind what waits for the same. */
  queues: readonly string[]
  /** Which of its writer's writes it is. */
  number: number
  /** Called off before it was sent. */
  cancelled: boolean
  /** What it concerns, for people: a key. */
  about: string
  /** How often it alone has failed, while others passed. */
  failures: number

  constructor(
    bytes: number,
    write: (out: BatchWriter) => void,
    done: (rows: readonly Row[] | null) => void,
    failed: (error: Error) => void,
  ) {
    this.bytes = bytes
    this.write = write
    this.done = done
    this.failed = failed
    this.giveUp = null
    this.refusable = false
    this.waits = false
    this.queues = noQueues
    this.number = 0
    this.cancelled = false
    this.about = ''
    this.failures = 0
  }
}

/** A command as Redis reads it. */
export type Command = readonly [name: string, ...parts: (string | number | Buffer)[]]

/** Commands that read, and who waits for the answers. */
export interface Reading {
  readonly commands: readonly Command[]
  /** How many writes had been called before it. */
  readonly behind: number
  readonly done: (replies: unknown[]) => void
  readonly failed: (error: Error) => void
  /** Each answer is looked at by itself, so that a refusal of one is no refusal of the others: it is among the replies. */
  readonly each: boolean
  /** How often it has failed for a reason that nobody has thought of. */
  failures: number
}

export type Rows = readonly Row[] | null

/** What the script says of a session that it has ended: where its queue was put aside ('' for nowhere), and its fields. */
export type EndedFields = readonly [queueAside: Buffer, fields: readonly Buffer[]]
