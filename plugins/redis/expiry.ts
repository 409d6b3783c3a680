import type { Due } from '../../core/sessions/session-store.ts'
import { decodeWill } from '../kit/stored-message.ts'
import type { EndedSessions } from './ended-sessions.ts'
import type { Command, EndedFields } from './operation.ts'
import { due as dueScript } from './operations/due.ts'
import { end } from './operations/end.ts'
import { settle } from './operations/settle.ts'
import { all, nothing, type Writes } from './writes.ts'

/**
 * Sessions and wills that come due. Sorted sets of client ids by time are hints only: what is due is decided at the session itself,
 * in one script, so that of many brokers one gets it.
 */
export class Expiry {
  readonly #writes: Writes
  readonly #ended: EndedSessions
  readonly #gone: (clientId: string) => void
  // Ended by something that nobody waited for; told with the next that come due.
  #late: Due[] = []

  constructor(writes: Writes, ended: EndedSessions, gone: (clientId: string) => void) {
    this.#writes = writes
    this.#ended = ended
    this.#gone = gone
  }

  /** Something of this session comes due then. */
  async remember(clientId: string, at: number): Promise<void> {
    if (Number.isFinite(at)) await this.#writes.command('zadd', this.#writes.writers.keys.due(clientId), [Math.round(at), clientId])
  }

  /** A session that a claim ended after its client had been sent away. */
  endedLate(clientId: string, ended: EndedFields): void {
    this.#ended.empty(clientId, ended).then(
      session => this.#late.push({ kind: 'expired', session }),
      () => {},
    )
  }

  /** Ends a stored session whoever it belongs to. */
  endLater(clientId: string): void {
    this.#gone(clientId)
    this.#writes
      .write(this.#writes.writers.keys.session(clientId), out => end.write(out, { session: clientId, epoch: 0 }), all, { queue: clientId })
      .then(
        rows => {
          if (rows?.[0]?.kind === 'ended') this.endedLate(clientId, rows[0].values[0] as EndedFields)
        },
        () => {},
      )
  }

  async expire(now: number, limit: number): Promise<readonly Due[]> {
    const found = this.#late.splice(0, limit)
    const { writers } = this.#writes
    const shards = await Promise.all(
      writers.keys.allDue.map(async key => {
        const command: Command = ['zrangebyscore', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit]
        const [reply] = (await writers.of(key).read([command])) as [Buffer[]]
        return Array.from({ length: reply.length / 2 }, (_, i) => ({ clientId: String(reply[i * 2]), at: Number(reply[i * 2 + 1]) }))
      }),
    )
    const hints = shards.flat().slice(0, limit - found.length)
    const due = await Promise.all(hints.map(({ clientId, at }) => this.#one(clientId, at)))
    for (const one of due) if (one !== null) found.push(one)
    return found
  }

  async #one(clientId: string, hint: number): Promise<Due | null> {
    const { keys } = this.#writes.writers
    const rows = await this.#writes.write(keys.session(clientId), out => dueScript.write(out, { session: clientId }), all, {
      queue: clientId,
    })
    const { kind, values } = rows![0]!
    const later = kind === 'will' ? Number(values[1]) : kind === 'later' ? Number(values[0]) : 0
    const settled = this.#settle(clientId, hint, later)
    let due: Due | null = null
    if (kind === 'ended') {
      this.#gone(clientId)
      due = { kind: 'expired', session: await this.#ended.empty(clientId, values[0] as EndedFields) }
    } else if (kind === 'will' && (values[0] as Buffer).length > 0) {
      due = { kind: 'will', clientId, will: decodeWill(values[0] as Buffer) }
    }
    await settled
    return due
  }

  #settle(clientId: string, hint: number, later: number): Promise<unknown> {
    const key = this.#writes.writers.keys.due(clientId)
    return this.#writes.write(key, out => settle.write(out, { key, score: hint, later, member: clientId }), nothing)
  }
}
