import { type SessionKey, SessionLostError, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { BatchWriter } from './batch-writer.ts'
import { Operation, type Rows } from './operation.ts'
import { argument, binaryArgument, command } from './operations/command.ts'
import type { Shape, ValuesOf } from './script/operands.ts'
import type { OwnerScript } from './script/operation-script.ts'
import type { SlotWriters } from './slot-writers.ts'

// What an operation without a body keeps in memory until it is done.
const smallBytes = 200

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

interface OwnerWriteOptions extends WriteOptions {
  /** Writes the operands that repeat, behind the others. */
  readonly repeated?: (out: BatchWriter) => void
}

/**
 * Writes as promises. Each settles in the very call in which its answer is read, and nothing stands between it and whoever asked, so
 * that writes to one session are answered in the order of the calls.
 */
export class Writes {
  readonly writers: SlotWriters

  constructor(writers: SlotWriters) {
    this.writers = writers
  }

  /** Any operation, in the writer of `key`; `pack` writes it, perhaps long after the call. Resolves with what `read` makes of what the script says of it. */
  write<T>(key: string, pack: (out: BatchWriter) => void, read: (rows: Rows) => T, options: WriteOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const { bytes = smallBytes, refusable = false, queue, late } = options
      if (refusable) {
        const refusal = this.writers.admit(bytes)
        if (refusal !== null) return reject(refusal)
      } else {
        this.writers.took(bytes)
      }
      let givenUp = false
      const done = (rows: Rows): void => {
        if (givenUp) return late!(rows)
        try {
          resolve(read(rows))
        } catch (error) {
          reject(error)
        }
      }
      const operation = new Operation(bytes, pack, done, reject)
      operation.refusable = refusable
      operation.about = key
      if (queue !== undefined) operation.queues = [queue]
      if (late !== undefined) {
        operation.giveUp = error => {
          givenUp = true
          reject(new StoreAwayError(`Redis is away: ${error.message}`))
        }
      }
      this.writers.of(key).push(operation)
    })
  }

  /** A write that only the newest owner of a session may make. */
  owner<S extends Shape, T>(
    { clientId, epoch }: SessionKey,
    script: OwnerScript<S>,
    values: ValuesOf<S>,
    read: (rows: Rows) => T,
    options?: OwnerWriteOptions,
  ): Promise<T> {
    // Read now: the session's owner may raise the epoch before this is packed.
    const by = { session: clientId, epoch }
    return this.write(
      this.writers.keys.session(clientId),
      out => {
        script.write(out, by, values)
        options?.repeated?.(out)
      },
      rows => {
        if (rows?.[0]?.kind === 'lost') throw new SessionLostError(clientId)
        return read(rows)
      },
      options,
    )
  }

  /** One command of Redis' own, on one key; resolves with its answer. */
  command(name: string, key: string, parts: readonly (string | number | Buffer)[], options?: WriteOptions): Promise<unknown> {
    return this.write(
      key,
      out => {
        command.write(out, { name, key, count: parts.length })
        for (const part of parts) {
          if (Buffer.isBuffer(part)) binaryArgument.write(out, { value: part })
          else argument.write(out, { value: String(part) })
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
