import { OperatorError } from '../../../core/errors.ts'
import type { RetainedStore } from '../services/retained.ts'
import type {} from '../services/state.ts'
import { type CopyCounts, type CopyLine, checkCopyHead, readCopyLine } from './copy-lines.ts'
import type { CopiedStores } from './export-lines.ts'
import { type FailedLine, SessionCopy } from './session-copy.ts'

/** What is done on import beside what the lines say. */
export interface ImportOptions {
  /** The name of the node that writes: it owns each session while it is written. */
  readonly node: string
  /** A session or a retained message that is there already stays, and the line is passed over. False: the line is refused. Default: false. */
  readonly skipExisting?: boolean
  /** Why a client id cannot be imported just now, a client with it being connected say; null: it can. Default: always null. */
  refusal?(clientId: string): string | null
}

/** What an import has done. */
export interface ImportAnswer extends CopyCounts {
  /** Sessions and retained messages that were there already, and stayed. */
  skipped: number
  /** Queued messages for which the session's queue had no room: `mqtt.queueMessagesMax` and `mqtt.queueBytesMax` say how much it holds. */
  dropped: number
}

// Sessions that are written at the same time, so that a store that keeps a turn's writes together has something to keep together; and how much of them may be under way.
const sessionsAtOnce = 100
const bytesAtOnce = 16 * 1024 * 1024
const retainedAtOnce = 100

/**
 * Writes the lines of an export to stores. The first line that is refused ends it, as an `OperatorError` that says which line that is and why; what stood before it is there,
 * and a session that was only half there is ended. A file that ends before its last line is refused, too.
 */
export async function importLines(stores: CopiedStores, lines: AsyncIterable<string>, options: ImportOptions): Promise<ImportAnswer> {
  const run = new ImportRun(stores, options)
  let number = 0
  try {
    for await (const text of lines) {
      number += 1
      if (number === 1) checkCopyHead(text)
      else if (text !== '') await run.take(number, readCopyLine(text), text.length)
    }
    await run.finish()
  } catch (error) {
    // One that was written in the meantime may have failed at an earlier line.
    const failed = (await run.abandon()) ?? { number, error: error as Error }
    throw refused(failed.number, failed.error)
  }
  if (!run.isOver) throw refused(number, new OperatorError('ERR_COPY_LINE', 'the export ends here, before its last line: it was cut short'))
  return run.answer
}

function refused(number: number, error: Error): OperatorError {
  const code = error instanceof OperatorError ? error.code : 'ERR_COPY_STORE'
  return new OperatorError(code, `line ${number}: ${error.message}`, { cause: error })
}

class ImportRun {
  readonly #stores: CopiedStores
  readonly #options: ImportOptions
  readonly #writing: Set<SessionCopy>
  readonly #retaining: Set<Promise<void>>
  readonly #read: CopyCounts
  #current: SessionCopy | null
  #isSkipping: boolean
  #failed: FailedLine | null
  readonly answer: ImportAnswer
  /** The last line has come. */
  isOver: boolean

  constructor(stores: CopiedStores, options: ImportOptions) {
    this.#stores = stores
    this.#options = options
    this.#writing = new Set()
    this.#retaining = new Set()
    this.#read = { sessions: 0, queued: 0, retained: 0, state: 0 }
    this.#current = null
    this.#isSkipping = false
    this.#failed = null
    this.answer = { sessions: 0, queued: 0, retained: 0, state: 0, skipped: 0, dropped: 0 }
    this.isOver = false
  }

  async take(number: number, line: CopyLine, bytes: number): Promise<void> {
    if (this.isOver) throw new OperatorError('ERR_COPY_LINE', 'nothing stands behind the last line')
    switch (line.kind) {
      case 'session':
        await this.#begin(number, line)
        break
      case 'retained':
        await this.#endCurrent()
        await this.#retain(number, line)
        break
      case 'state':
        await this.#endCurrent()
        await this.#keepState(line)
        break
      case 'end':
        await this.#endCurrent()
        this.#compare(line.counts)
        this.isOver = true
        break
      default:
        if (line.kind === 'queued') this.#read.queued += 1
        if (this.#isSkipping) break
        if (this.#current === null) throw new OperatorError('ERR_COPY_LINE', 'it belongs to a session, and no session stands before it')
        this.#current.add(number, line, bytes)
    }
    if (this.#failed !== null) throw this.#failed.error
    while (this.#bytes() > bytesAtOnce) await Promise.race([...this.#writing].map(copy => copy.settled()))
  }

  async finish(): Promise<void> {
    await this.#endCurrent()
    while (this.#writing.size > 0) await Promise.all([...this.#writing].map(copy => copy.ended))
    await Promise.all(this.#retaining)
    if (this.#failed !== null) throw this.#failed.error
  }

  /** Ends what was only half written; returns the first line that failed by itself. */
  async abandon(): Promise<FailedLine | null> {
    await this.#current?.abandon()
    await Promise.all([...this.#writing].map(copy => copy.ended))
    await Promise.all(this.#retaining)
    return this.#failed
  }

  async #begin(number: number, { session }: CopyLine & { readonly kind: 'session' }): Promise<void> {
    await this.#endCurrent()
    this.#read.sessions += 1
    const { sessions } = this.#stores
    if (sessions === null) throw new OperatorError('ERR_COPY_STORE', 'no sessions are kept here')
    const { node, skipExisting = false, refusal } = this.#options
    const why = refusal?.(session.clientId) ?? null
    if (why !== null) throw new OperatorError('ERR_COPY_STORE', `session ${session.clientId}: ${why}`)
    this.#isSkipping = (await sessions.inspect?.(session.clientId)) != null
    if (this.#isSkipping) {
      if (!skipExisting)
        throw new OperatorError(
          'ERR_COPY_STORE',
          `session ${session.clientId} is here already; --skipExisting leaves those that are here as they are`,
        )
      this.answer.skipped += 1
      return
    }
    while (this.#writing.size >= sessionsAtOnce) await Promise.race([...this.#writing].map(copy => copy.ended))
    this.#current = new SessionCopy(sessions, session, node, number)
    this.#writing.add(this.#current)
  }

  async #endCurrent(): Promise<void> {
    this.#isSkipping = false
    const copy = this.#current
    this.#current = null
    if (copy === null) return
    void copy.close().then(({ queued, dropped, failed }) => {
      this.#writing.delete(copy)
      if (failed === null) {
        this.answer.sessions += 1
        this.answer.queued += queued
        this.answer.dropped += dropped
      } else if (this.#failed === null || failed.number < this.#failed.number) this.#failed = failed
    })
  }

  async #retain(number: number, { message }: CopyLine & { readonly kind: 'retained' }): Promise<void> {
    this.#read.retained += 1
    const { retained } = this.#stores
    if (retained === null) throw new OperatorError('ERR_COPY_STORE', 'no retained messages are kept here')
    if (message.payloadLength === 0)
      throw new OperatorError('ERR_COPY_LINE', 'retained.message.payload is empty: such a message removes one')
    if (await isRetained(retained, message.topic)) {
      if (this.#options.skipExisting !== true) throw isHere(`the retained message of ${message.topic}`)
      this.answer.skipped += 1
      return
    }
    while (this.#retaining.size >= retainedAtOnce) await Promise.race(this.#retaining)
    const kept: Promise<void> = (async () => retained.set(message))().then(
      () => {
        this.answer.retained += 1
        this.#retaining.delete(kept)
      },
      error => {
        this.#retaining.delete(kept)
        this.#failed ??= { number, error: error as Error }
      },
    )
    this.#retaining.add(kept)
  }

  async #keepState({ entry: { key, value, expiresAt } }: CopyLine & { readonly kind: 'state' }): Promise<void> {
    this.#read.state += 1
    const { state } = this.#stores
    if (state === null) throw new OperatorError('ERR_COPY_STORE', 'no state is kept here')
    if (state.get(key) !== undefined) {
      if (this.#options.skipExisting !== true) throw isHere(`${key}, an entry of the state,`)
      this.answer.skipped += 1
      return
    }
    await state.set(key, value, expiresAt)
    this.answer.state += 1
  }

  #compare(said: CopyCounts): void {
    for (const name of ['sessions', 'queued', 'retained', 'state'] as const)
      if (said[name] !== this.#read[name])
        throw new OperatorError('ERR_COPY_LINE', `it says that there were ${said[name]} ${name}, and ${this.#read[name]} stand before it`)
  }

  #bytes(): number {
    let bytes = 0
    for (const copy of this.#writing) bytes += copy.bytes
    return bytes
  }
}

function isHere(what: string): OperatorError {
  return new OperatorError('ERR_COPY_STORE', `${what} is here already; skipExisting leaves what is here as it is`)
}

async function isRetained(retained: RetainedStore, topic: string): Promise<boolean> {
  if (retained.has !== undefined && !retained.has(topic)) return false
  return (await retained.match(topic).next(1)).messages.length > 0
}
