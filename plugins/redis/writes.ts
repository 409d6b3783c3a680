import { type SessionKey, SessionLostError, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Code } from './batch-script.ts'
import { Code as Codes } from './batch-script.ts'
import type { BatchWriter } from './batch-writer.ts'
import type { Lanes } from './lanes.ts'
import { Operation, type Row } from './operation.ts'

// What an operation without a body keeps in memory until it is done.
const smallBytes = 200

/** How a write is made. */
export interface WriteOptions {
  readonly bytes?: number
  /** It may be refused where too many wait. */
  readonly refusable?: boolean
  /** Whoever asks does not wait while Redis is away. Where the write is done after all, `late` is told. */
  readonly late?: (rows: readonly Row[] | null) => void
}

/** Writes as promises. */
export class Writes {
  readonly lanes: Lanes

  constructor(lanes: Lanes) {
    this.lanes = lanes
  }

  /** Any operation, in the lane of `key`; resolves with what the script says of it. */
  write(key: string, code: Code, fields: (out: BatchWriter) => void, options: WriteOptions = {}): Promise<readonly Row[] | null> {
    return new Promise((resolve, reject) => {
      const bytes = options.bytes ?? smallBytes
      if (options.refusable === true) {
        const full = this.lanes.admit(bytes)
        if (full !== null) return reject(full)
      } else {
        this.lanes.took(bytes)
      }
      const { late } = options
      let givenUp = false
      const operation = new Operation(
        bytes,
        out => {
          out.operation(code)
          fields(out)
        },
        rows => (givenUp ? late!(rows) : resolve(rows)),
        reject,
        late === undefined
          ? null
          : error => {
              givenUp = true
              reject(new StoreAwayError(`Redis is away: ${error.message}`))
            },
      )
      this.lanes.of(key).push(operation)
    })
  }

  /** A write that only the newest owner of a session may make. */
  async owner(session: SessionKey, code: Code, fields: (out: BatchWriter) => void, options?: WriteOptions): Promise<readonly Row[] | null> {
    // Read now: the session's owner may raise the epoch before this is packed.
    const { clientId, epoch } = session
    const rows = await this.write(
      this.lanes.keys.session(clientId),
      code,
      out => {
        out.session(clientId)
        out.double(epoch)
        fields(out)
      },
      options,
    )
    if (rows?.[0]?.kind === 'lost') throw new SessionLostError(clientId)
    return rows
  }

  /** One command of Redis' own, on one key; resolves with its answer. */
  async command(name: string, key: string, parts: readonly (string | number | Buffer)[], options?: WriteOptions): Promise<unknown> {
    const rows = await this.write(
      key,
      Codes.Command,
      out => {
        out.shortText(name)
        out.key(key)
        out.fourBytes(parts.length)
        for (const part of parts) {
          if (Buffer.isBuffer(part)) out.binary(part)
          else out.longText(String(part))
        }
      },
      options,
    )
    return rows?.[0]?.values[0]
  }
}
