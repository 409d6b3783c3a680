import { StoredFormatError } from '../../core/messages/stored-message.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import { BatchWriter } from './batch-writer.ts'
import type { Keys } from './keys.ts'
import type { Link } from './link.ts'
import type { Command, Operation, Reading, Row } from './operation.ts'
import { type BatchArgument, batchScript } from './script/batch-script.ts'
import { storedFormat } from './script/layout.ts'

/** The arguments that all batches have, as they are when a batch is put together. */
export type CommonArguments = Readonly<Record<Exclude<BatchArgument, 'sequence' | 'ops' | 'makesRoom'>, string | number>>

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
  sent: number
}

// A batch is one script, and nobody else is served while it runs: a few milliseconds of it.
const batchOperationsMax = 1000
const batchBytesMax = 4 * 1024 * 1024
const retryMsMin = 50
const retryMsMax = 1000
// A full Redis is asked so often whether it has room again.
const fullMs = 1000

/**
 * The writes to one slot, in order; without Redis Cluster there is one writer for all. What comes up in a turn of the event loop, or while
 * an earlier batch is under way, goes out together. A batch whose answer did not come is sent again, unchanged, until it does:
 * the script knows it by its sequence number. Reads go along behind the writes called before them.
 */
export class SlotWriter {
  readonly #context: SlotWriterContext
  readonly #key: string
  readonly #totals: string
  #pending: Operation[] = []
  #reads: Reading[] = []
  #called = 0
  #repeat: Batch | null = null
  #busy = false
  #scheduled = false
  #sequence = 0
  #wholeScript = false
  #failing = false
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
    return !this.#busy && this.#repeat === null && this.#pending.length === 0 && this.#reads.length === 0
  }

  push(operation: Operation): void {
    operation.number = ++this.#called
    this.#pending.push(operation)
    this.#schedule()
  }

  /** What one of its operations waited for has come: the writer goes on. */
  unblocked(): void {
    this.#schedule()
  }

  read(commands: readonly Command[]): Promise<unknown[]> {
    return new Promise((done, failed) => {
      this.#reads.push({ commands, behind: this.#called, done, failed })
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
    for (const operation of this.#repeat?.operations ?? []) {
      operation.giveUp?.(error)
      operation.giveUp = null
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#timer !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const { link } = this.#context
    if (this.#busy || this.#timer !== undefined || !link.ready) return
    const batch = (this.#repeat ??= this.#nextBatch())
    const reads = this.#takeReads()
    if (batch === null && reads.length === 0) return
    this.#busy = true
    const commands: Command[] = []
    if (batch !== null) {
      batch.sent += 1
      const { sequence, packed, common, makesRoom, moreKeys } = batch
      const keys = { lastBatch: this.#key, totals: this.#totals }
      const args = { ...common, sequence, ops: packed, makesRoom: makesRoom ? 1 : 0 }
      commands.push(this.#wholeScript ? batchScript.whole(keys, args, moreKeys) : batchScript.byName(keys, args, moreKeys))
    }
    for (const reading of reads) commands.push(...reading.commands)
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
    const pending = this.#pending
    if (pending.length === 0) return null
    const out = new BatchWriter(this.#context.keys, batchScript.firstOtherKey)
    const operations: Operation[] = []
    const isFull = performance.now() < this.#fullUntil
    const stay: Operation[] = []
    const waitedFor = new Set<string>()
    let seen = 0
    for (; seen < pending.length && operations.length < batchOperationsMax && out.length < batchBytesMax; seen++) {
      const operation = pending[seen]!
      if (operation.cancelled) {
        this.#context.settled(1, operation.bytes)
      } else if (isFull && operation.refusable) {
        this.#refuse(operation)
      } else if (operation.waits || (waitedFor.size > 0 && operation.queues.some(clientId => waitedFor.has(clientId)))) {
        for (const clientId of operation.queues) waitedFor.add(clientId)
        stay.push(operation)
      } else {
        operation.write(out)
        operations.push(operation)
      }
    }
    this.#pending = stay.length > 0 ? [...stay, ...pending.slice(seen)] : seen === pending.length ? [] : pending.slice(seen)
    if (operations.length === 0) return null
    this.#sequence += 1
    return {
      sequence: this.#sequence,
      operations,
      moreKeys: out.keys,
      packed: out.finish(),
      common: this.#context.batchArguments(),
      makesRoom: isFull,
      sent: 0,
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
      if (!batch.makesRoom && this.#fullUntil !== 0) {
        this.#fullUntil = 0
        this.#context.link.hasRoom(this)
      }
      this.#settle(batch, reply as unknown[][])
    }
    let trouble: Error | null = null
    for (const reading of reads) {
      const own = replies.slice(at, (at += reading.commands.length))
      const error = own.find(reply => reply instanceof Error) as Error | undefined
      if (error === undefined) reading.done(own)
      else if (isAnswer(error)) reading.failed(error)
      else {
        trouble = error
        this.#reads.unshift(reading)
      }
    }
    if (trouble !== null) return this.#failed(trouble)
    if (this.#failing) {
      this.#failing = false
      this.#retryMs = retryMsMin
      this.#context.link.recovered(this)
    }
    if (this.idle) for (const resolve of this.#idle.splice(0)) resolve()
    else this.#schedule()
  }

  #settle({ operations, sent }: Batch, rows: readonly unknown[][]): void {
    const { link } = this.#context
    if (sent > 1) link.repeated += operations.length
    const said: (Row[] | undefined)[] = []
    for (const [number, kind, ...values] of rows) {
      if (number === 0) {
        this.#context.said(String(kind), values)
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
      else operation.failed(errorOf(String(error.values[0])))
    }
  }

  #failed(error: Error): void {
    const { link } = this.#context
    if (error.message.startsWith('NOSCRIPT')) {
      this.#wholeScript = true
      this.#flush()
      return
    }
    if (error.message.startsWith('OOM') && this.#repeat?.makesRoom === false) return this.#full(this.#repeat)
    this.#failing = true
    link.failing(this, error)
    this.interrupted(error)
    this.#timer = setTimeout(() => this.#retry(), this.#retryMs)
    this.#timer.unref()
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
  }

  #retry(): void {
    if (!this.#context.link.isCluster || !this.#context.link.ready) return this.resume()
    this.#context.recheck().then(
      () => this.resume(),
      error => this.#failed(error),
    )
  }

  // A script says so before it has changed anything, so what may be refused is refused, and what makes room goes on.
  #full({ operations }: Batch): void {
    this.#repeat = null
    this.#fullUntil = performance.now() + fullMs
    this.#context.link.full(this)
    this.#pending = [...operations, ...this.#pending]
    this.#flush()
  }

  #refuse(operation: Operation): void {
    this.#context.settled(1, operation.bytes)
    operation.failed(new StoreFullError('Redis is out of memory; raise its maxmemory or make room'))
  }
}

function errorOf(text: string): Error {
  const newer = /^NEWER (\d+)/.exec(text)
  return newer === null ? new Error(`redis: ${text}`) : StoredFormatError.newer('a session in Redis', Number(newer[1]), storedFormat)
}

// Redis has answered, and would answer the same again: as opposed to a broken connection, or a server that cannot just now.
function isAnswer({ message }: Error): boolean {
  return /^(ERR|WRONGTYPE|NOPERM) /.test(message)
}
