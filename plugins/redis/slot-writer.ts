// Why it is long: what waits, what is under way, and what becomes of it when Redis does not take it are one state.
import { StoredFormatError } from '../kit/stored-message.ts'
import { BatchWriter } from './batch-writer.ts'
import type { Keys } from './keys.ts'
import type { Link } from './link.ts'
import type { Command, Operation, Reading, Row } from './operation.ts'
import type { RedisRefusals } from './refusals.ts'
import { type BatchArgument, batchScript } from './script/batch-script.ts'
import { storedFormat } from './script/layout.ts'
import { brokenTries, verdictOn } from './verdicts.ts'

/** The arguments that all batches have, as they are when a batch is put together. */
export type CommonArguments = Readonly<Record<Exclude<BatchArgument, 'sequence' | 'continues' | 'ops' | 'makesRoom'>, string | number>>

/** What all writers share. */
export interface SlotWriterContext {
  readonly link: Link
  readonly keys: Keys
  /** Names this process among all that write. */
  readonly processId: string
  batchArguments(): CommonArguments
  /** Looks whether what was kept is still there: one master of a Redis Cluster may come back empty, and the others never be away. */
  recheck(): Promise<void>
  /** What a batch has to say to the other nodes, where it could not do so itself. */
  said(kind: string, values: readonly unknown[]): void
  /** What Redis refuses is counted and named there. */
  readonly refusals: RedisRefusals
  /** So many writes, and bytes of theirs, have been dealt with. */
  settled(operations: number, bytes: number): void
}

interface Batch {
  readonly sequence: number
  readonly operations: readonly Operation[]
  readonly moreKeys: readonly string[]
  readonly packed: Buffer
  readonly common: CommonArguments
  readonly makesRoom: boolean
  readonly continues: boolean
  /** A part of a batch during which the connection broke again and again. */
  readonly suspect: boolean
  sent: number
  /** How often the connection has broken while it was under way. */
  broken: number
}

/** Operations that go out as a batch of their own, before what waits; none at all: to see whether Redis takes any batch. */
interface Group {
  readonly operations: readonly Operation[]
  readonly suspect: boolean
}

// A batch is one script, and nobody else is served while it runs: a few milliseconds of it.
const batchOperationsMax = 1000
const batchBytesMax = 4 * 1024 * 1024
const retryMsMin = 50
const retryMsMax = 250
// A full Redis is asked so often whether it has room again.
const fullMs = 1000
// Redis keeps the last batch for a day: so long, and no longer, its absence says that the database was emptied.
const continuesMs = 43_200_000

/**
 * The writes to one slot, in order; without Redis Cluster there is one writer for all. What comes up in a turn of the event loop, or while
 * an earlier batch is under way, goes out together. A batch whose answer did not come is sent again, unchanged, until it does:
 * the script knows it by its sequence number. Reads go along behind the writes called before them.
 *
 * A batch that Redis refuses as a whole is halved until the one operation is found that it refuses, which fails alone; before it does, a batch without any
 * operation has to pass, or it is not the operation's fault and Redis counts as away.
 */
export class SlotWriter {
  readonly #context: SlotWriterContext
  readonly #key: string
  readonly #totals: string
  #pending: Operation[] = []
  // These go out before what is pending: first what is written again to an emptied database, then parts of what was refused.
  #first: Operation[] = []
  #ahead: Group[] = []
  #reads: Reading[] = []
  #called = 0
  #repeat: Batch | null = null
  #busy = false
  #scheduled = false
  #sequence = 0
  #wholeScript = false
  #failing = false
  // It is looked whether the database was emptied.
  #checking = false
  // When a batch was answered last; -Infinity: never, or the database was emptied since.
  #writtenAt = Number.NEGATIVE_INFINITY
  // Redis has no room: until then only what makes some is sent, and the rest is refused.
  #fullUntil = 0
  #retryMs = retryMsMin
  #timer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []

  /** `tag`: the hash tag of the slot. */
  constructor(context: SlotWriterContext, tag: string) {
    this.#context = context
    this.#key = context.keys.lastBatch(tag, context.processId)
    this.#totals = context.keys.totals(tag)
  }

  /** Nothing can be written here just now. */
  get away(): boolean {
    return this.#failing || !this.#context.link.ready
  }

  get idle(): boolean {
    return !this.#busy && this.#repeat === null && !this.#hasWrites && this.#reads.length === 0
  }

  get #hasWrites(): boolean {
    return this.#pending.length > 0 || this.#ahead.length > 0 || this.#first.length > 0
  }

  push(operation: Operation): void {
    operation.number = ++this.#called
    this.#pending.push(operation)
    this.#schedule()
  }

  /** Goes out before everything that waits: what was kept is gone, and is written again. What was in doubt has gone with it. */
  pushFirst(operations: readonly Operation[]): void {
    if (this.#repeat !== null && !this.#busy) {
      this.#ahead.unshift({ operations: this.#repeat.operations, suspect: false })
      this.#repeat = null
    }
    this.#writtenAt = Number.NEGATIVE_INFINITY
    this.#first.push(...operations)
    this.#schedule()
  }

  /** What one of its operations waited for has come: the writer goes on. */
  unblocked(): void {
    this.#schedule()
  }

  read(commands: readonly Command[]): Promise<unknown[]> {
    return new Promise((done, failed) => {
      this.#reads.push({ commands, behind: this.#called, done, failed, each: false, failures: 0 })
      this.#schedule()
    })
  }

  /** As `read`, but for each command by itself: where Redis refuses one, that one's reply is the error. */
  readEach(commands: readonly Command[]): Promise<unknown[]> {
    return new Promise((done, failed) => {
      this.#reads.push({ commands, behind: this.#called, done, failed, each: true, failures: 0 })
      this.#schedule()
    })
  }

  /** Resolves when everything called before has been done. */
  whenIdle(): Promise<void> {
    if (this.idle) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  /** The connection is there again. */
  resume(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#flush()
  }

  /** The connection has gone: whoever does not wait for that is told. */
  interrupted(error: Error): void {
    const stay: Operation[] = []
    for (const operation of this.#pending) {
      if (operation.giveUp === null) {
        stay.push(operation)
      } else {
        this.#context.settled(1, operation.bytes)
        operation.failed(error)
      }
    }
    this.#pending = stay
    // These are on their way, or in doubt: they may take effect yet.
    for (const { operations } of [this.#repeat ?? noGroup, ...this.#ahead]) {
      for (const operation of operations) {
        operation.giveUp?.(error)
        operation.giveUp = null
      }
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#checking || this.#timer !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const { link } = this.#context
    if (this.#busy || this.#checking || this.#timer !== undefined || !link.ready) return
    const batch = (this.#repeat ??= this.#nextBatch())
    const reads = this.#takeReads()
    if (batch === null && reads.length === 0) return
    this.#busy = true
    const commands: Command[] = []
    if (batch !== null) {
      batch.sent += 1
      const { sequence, packed, common, makesRoom, continues, moreKeys } = batch
      const keys = { lastBatch: this.#key, totals: this.#totals }
      const args = { ...common, sequence, continues: continues ? 1 : 0, ops: packed, makesRoom: makesRoom ? 1 : 0 }
      commands.push(this.#wholeScript ? batchScript.whole(keys, args, moreKeys) : batchScript.byName(keys, args, moreKeys))
    }
    for (const reading of reads) for (const command of reading.commands) commands.push(command)
    link.send(this.#key, commands, batch !== null).then(replies => this.#answered(batch, reads, replies))
  }

  // Those whose writes have all been done, or are in the batch before them.
  #takeReads(): readonly Reading[] {
    const reads = this.#reads
    const first = this.#pending[0]
    const later = first === undefined ? -1 : reads.findIndex(({ behind }) => behind >= first.number)
    this.#reads = later === -1 ? [] : reads.slice(later)
    return later === -1 ? reads : reads.slice(0, later)
  }

  #nextBatch(): Batch | null {
    const again = this.#first.length > 0 ? { operations: this.#first.splice(0, batchOperationsMax), suspect: false } : this.#ahead.shift()
    const out = new BatchWriter(this.#context.keys, batchScript.firstOtherKey)
    const operations: Operation[] = []
    const isFull = performance.now() < this.#fullUntil
    if (again === undefined) this.#takePending(out, operations, isFull)
    else for (const operation of again.operations) this.#take(operation, out, operations, isFull)
    // Only what asks whether anything passes is empty on purpose.
    if (operations.length === 0 && again?.operations.length !== 0) return this.#hasWrites && again !== undefined ? this.#nextBatch() : null
    this.#sequence += 1
    return {
      sequence: this.#sequence,
      operations,
      moreKeys: out.keys,
      packed: out.finish(),
      common: this.#context.batchArguments(),
      makesRoom: isFull,
      continues: performance.now() - this.#writtenAt < continuesMs,
      suspect: again?.suspect === true,
      sent: 0,
      broken: 0,
    }
  }

  #takePending(out: BatchWriter, operations: Operation[], isFull: boolean): void {
    const pending = this.#pending
    const stay: Operation[] = []
    const waitedFor = new Set<string>()
    let seen = 0
    for (; seen < pending.length && operations.length < batchOperationsMax && out.length < batchBytesMax; seen++) {
      const operation = pending[seen]!
      if (operation.cancelled) {
        this.#context.settled(1, operation.bytes)
      } else if (
        !(isFull && operation.refusable) &&
        (operation.waits || (waitedFor.size > 0 && operation.queues.some(clientId => waitedFor.has(clientId))))
      ) {
        for (const clientId of operation.queues) waitedFor.add(clientId)
        stay.push(operation)
      } else {
        this.#take(operation, out, operations, isFull)
      }
    }
    this.#pending = stay.length > 0 ? [...stay, ...pending.slice(seen)] : seen === pending.length ? [] : pending.slice(seen)
  }

  #take(operation: Operation, out: BatchWriter, operations: Operation[], isFull: boolean): void {
    if (isFull && operation.refusable) return this.#refuse(operation, new Error('OOM Redis has no room'))
    const before = out.mark
    try {
      operation.write(out)
      operations.push(operation)
    } catch (error) {
      // Something in it has no place in the format of what is stored.
      out.back(before)
      this.#refuse(operation, error as Error)
    }
  }

  #answered(batch: Batch | null, reads: readonly Reading[], replies: readonly unknown[]): void {
    this.#busy = false
    let at = 0
    if (batch !== null) {
      const reply = replies[at++]
      if (reply instanceof Error) {
        this.#reads = [...reads, ...this.#reads]
        return this.#failed(reply)
      }
      this.#wholeScript = false
      this.#repeat = null
      this.#writtenAt = performance.now()
      if (!batch.makesRoom && this.#fullUntil !== 0) {
        this.#fullUntil = 0
        this.#context.link.hasRoom(this)
      }
      this.#settle(batch, reply as unknown[][])
    }
    let trouble: Error | null = null
    for (const reading of reads) trouble = this.#readingAnswered(reading, replies.slice(at, (at += reading.commands.length))) ?? trouble
    if (trouble !== null) return this.#failed(trouble)
    if (this.#failing) {
      this.#failing = false
      this.#retryMs = retryMsMin
      this.#context.link.recovered(this)
    }
    if (this.idle) for (const resolve of this.#idle.splice(0)) resolve()
    else this.#schedule()
  }

  /** Hands a reading its answers; returns why it has to be asked again. */
  #readingAnswered(reading: Reading, own: readonly unknown[]): Error | null {
    const { refusals } = this.#context
    const replies = [...own]
    for (const [i, reply] of own.entries()) {
      if (!(reply instanceof Error)) continue
      const { meaning, tries } = verdictOn(reply)
      if (meaning === 'doubtful') reading.failures += 1
      if (meaning !== 'refused' && (meaning !== 'doubtful' || reading.failures < tries)) {
        this.#reads.unshift(reading)
        return reply
      }
      const key = keyOf(reading.commands[i]!)
      const refusal = refusals.refuse(reply, key, this.#context.keys.clientIdIn(key))
      replies[i] = refusal
      if (reading.each) continue
      reading.failed(refusal)
      return null
    }
    reading.done(replies)
    return null
  }

  #settle({ operations, sent }: Batch, rows: readonly unknown[][]): void {
    const { link } = this.#context
    if (sent > 1) link.repeated += operations.length
    const said: (Row[] | undefined)[] = []
    for (const [number, kind, ...values] of rows) {
      if (number === 0) {
        const said = String(kind)
        if (said === 'trouble') this.#context.refusals.refuse(new Error(String(values[0])), String(values[1]))
        else this.#context.said(said, values)
        continue
      }
      const at = (number as number) - 1
      said[at] ??= []
      said[at].push({ kind: String(kind), values })
    }
    let bytes = 0
    for (const operation of operations) bytes += operation.bytes
    this.#context.settled(operations.length, bytes)
    for (const [i, operation] of operations.entries()) {
      const own = said[i]
      const error = own?.find(row => row.kind === 'error')
      if (error === undefined) operation.done(own ?? null)
      else operation.failed(this.#errorOf(operation, String(error.values[0]), String(error.values[1] ?? '')))
    }
  }

  #errorOf(operation: Operation, text: string, key: string): Error {
    const newer = /^NEWER (\d+)/.exec(text)
    if (newer !== null) return StoredFormatError.newer('a session in Redis', Number(newer[1]), storedFormat)
    const { keys, refusals } = this.#context
    const about = key === '' ? operation.about : key
    return refusals.refuse(new Error(text), about, keys.clientIdIn(about))
  }

  #failed(error: Error): void {
    const batch = this.#repeat
    const { meaning, tries } = verdictOn(error)
    switch (meaning) {
      case 'script':
        this.#wholeScript = true
        return this.#flush()
      case 'full':
        return batch?.makesRoom === false ? this.#full(batch) : this.#away(error)
      case 'emptied':
        return this.#emptied(batch!)
      case 'refused':
      case 'doubtful':
        return batch === null ? this.#away(error) : this.#doubt(batch, error, tries)
      case 'away':
        if (batch !== null && isBroken(error)) {
          batch.broken += 1
          if (batch.broken >= (batch.suspect ? 2 : brokenTries)) return this.#doubt(batch, error, 3, true)
        }
        return this.#away(error)
    }
  }

  // It waits, and is asked again.
  #away(error: Error): void {
    this.#failing = true
    this.#context.link.failing(this, error)
    this.interrupted(error)
    this.#timer = setTimeout(() => this.#retry(), this.#retryMs)
    this.#timer.unref()
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
  }

  // Nothing of it has been done, and Redis would say the same again; or nobody knows what it would say.
  #doubt({ operations }: Batch, error: Error, tries: number, suspect = false): void {
    this.#repeat = null
    const [operation] = operations
    if (operation === undefined) {
      // Not even a batch without an operation passes.
      this.#ahead.unshift({ operations, suspect })
      return this.#away(error)
    }
    if (operations.length > 1) {
      const half = operations.length >>> 1
      this.#ahead.unshift({ operations: operations.slice(0, half), suspect }, { operations: operations.slice(half), suspect })
      return this.#goOn()
    }
    operation.failures += 1
    if (operation.failures < tries) {
      this.#ahead.unshift({ operations: [], suspect }, { operations, suspect })
      // What is not a verdict may pass by itself.
      return tries > 2 ? this.#pause() : this.#goOn()
    }
    this.#refuse(operation, error)
    this.#goOn()
  }

  #goOn(): void {
    if (this.idle) for (const resolve of this.#idle.splice(0)) resolve()
    else this.#flush()
  }

  #pause(): void {
    this.#timer = setTimeout(() => this.#retry(), this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
  }

  // What this process wrote last is not there. Whether all is gone, the store's mark says; until then nothing is written.
  #emptied({ operations }: Batch): void {
    this.#repeat = null
    this.#writtenAt = Number.NEGATIVE_INFINITY
    this.#ahead.unshift({ operations, suspect: false })
    this.#checking = true
    this.#context.recheck().then(
      () => {
        this.#checking = false
        this.#flush()
      },
      error => {
        this.#checking = false
        this.#away(error)
      },
    )
  }

  #retry(): void {
    if (!this.#context.link.isCluster || !this.#context.link.ready) return this.resume()
    this.#context.recheck().then(
      () => this.resume(),
      error => this.#away(error),
    )
  }

  // A script says so before it has changed anything, so what may be refused is refused, and what makes room goes on.
  #full({ operations, suspect }: Batch): void {
    this.#repeat = null
    this.#fullUntil = performance.now() + fullMs
    this.#context.link.full(this)
    this.#ahead.unshift({ operations, suspect })
    this.#flush()
  }

  #refuse(operation: Operation, error: Error): void {
    const { keys, refusals } = this.#context
    this.#context.settled(1, operation.bytes)
    operation.failed(refusals.refuse(error, operation.about, keys.clientIdIn(operation.about)))
  }
}

const noGroup: Group = { operations: [], suspect: false }

/** What was under way may have been the reason. */
function isBroken({ message }: Error): boolean {
  return /^(Command timed out|Connection is closed|the connection has broken|Command aborted)|ECONNRESET|EPIPE/.test(message)
}

/** The key that a command concerns. */
function keyOf([name, ...parts]: Command): string {
  return String(/^eval/i.test(name) ? parts[2] : parts[0])
}
