import { type SessionKey, SessionLostError, StoreAwayError } from '../../core/sessions/session-store.ts'
import { Code } from './batch-script.ts'
import type { BatchWriter } from './batch-writer.ts'
import type { Lanes } from './lanes.ts'
import { Operation, type Row } from './operation.ts'

// What an operation without a body keeps in memory until it is done.
const smallBytes = 200

export type Rows = readonly Row[] | null

/** How a write is made. */
export interface WriteOptions {
  /** Bytes that it keeps in memory until it is done. */
  readonly bytes?: number
  /** It may be refused: where too many wait, or Redis is full. What makes room there, or must not be forgotten, may not. */
  readonly refusable?: boolean
  /** The session whose queue it touches, or whose owner it changes. */
  readonly queue?: string
  /** Whoever asks does not wait while Redis is away. Where the write is done after all, `late` is told. */
  readonly late?: (rows: Rows) => void
}

/**
 * Writes as promises. Each settles in the very call in which its answer is read, and nothing stands between it and whoever asked, so
 * that writes to one session are answered in the order of the calls.
 */
export class Writes {
  readonly lanes: Lanes

  constructor(lanes: Lanes) {
    this.lanes = lanes
  }

  /** Any operation, in the lane of `key`; resolves with what `take` makes of what the script says of it. */
  write<T>(key: string, code: Code, fields: (out: BatchWriter) => void, take: (rows: Rows) => T, options: WriteOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const { bytes = smallBytes, refusable = false, queue, late } = options
      if (refusable) {
        const refusal = this.lanes.admit(bytes)
        if (refusal !== null) return reject(refusal)
      } else {
        this.lanes.took(bytes)
      }
      let givenUp = false
      const done = (rows: Rows): void => {
        if (givenUp) return late!(rows)
        try {
          resolve(take(rows))
        } catch (error) {
          reject(error)
        }
      }
      const pack = (out: BatchWriter): void => {
        out.operation(code)
        fields(out)
      }
      const operation = new Operation(bytes, pack, done, reject)
      operation.refusable = refusable
      if (queue !== undefined) operation.queues = [queue]
      if (late !== undefined) {
        operation.giveUp = error => {
          givenUp = true
          reject(new StoreAwayError(`Redis is away: ${error.message}`))
        }
      }
      this.lanes.of(key).push(operation)
    })
  }

  /** A write that only the newest owner of a session may make. */
  owner<T>(
    session: SessionKey,
    code: Code,
    fields: (out: BatchWriter) => void,
    take: (rows: Rows) => T,
    options?: WriteOptions,
  ): Promise<T> {
    // Read now: the session's owner may raise the epoch before this is packed.
    const { clientId, epoch } = session
    return this.write(
      this.lanes.keys.session(clientId),
      code,
      out => {
        out.session(clientId)
        out.double(epoch)
        fields(out)
      },
      rows => {
        if (rows?.[0]?.kind === 'lost') throw new SessionLostError(clientId)
        return take(rows)
      },
      options,
    )
  }

  /** One command of Redis' own, on one key; resolves with its answer. */
  command(name: string, key: string, parts: readonly (string | number | Buffer)[], options?: WriteOptions): Promise<unknown> {
    return this.write(
      key,
      Code.Command,
      out => {
        out.shortText(name)
        out.key(key)
        out.fourBytes(parts.length)
        for (const part of parts) {
          if (Buffer.isBuffer(part)) out.binary(part)
          else out.longText(String(part))
        }
      },
      answerOf,
      options,
    )
  }
}

/** Nobody looks at what the script says. */
export function nothing(): void {}

/** All that the script says. */
export function all(rows: Rows): Rows {
  return rows
}

function answerOf(rows: Rows): unknown {
  return rows?.[0]?.values[0]
}
