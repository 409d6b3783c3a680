import { randomBytes } from 'node:crypto'
import { Message } from '../../core/messages/message.ts'
import { decodeMessage, messageFormat } from '../kit/stored-message.ts'
import { unrefer } from './operations/unrefer.ts'
import type { BodyReference, StoredQueueEntry } from './queue-entry.ts'
import { bodyField, referenceBytes } from './script/layout.ts'
import { nothing, type Writes } from './writes.ts'

const timeDigits = 9
// A body this young may still be waiting for its references.
const sweepAgeMs = 600_000

/** What is there and cannot be read: it stays where it is, and has been named. */
export const unreadable = Symbol('unreadable')
export type StoredBody = Message | null | typeof unreadable

/** Message bodies that lie apart from the queues which refer to them. */
export class Bodies {
  readonly #writes: Writes
  readonly #writer = randomBytes(4).toString('base64url').slice(0, 4)
  #count = 0

  constructor(writes: Writes) {
    this.#writes = writes
  }

  /** A name that no other body has, and that tells how old it is. */
  newReference(): string {
    this.#count = (this.#count + 1) % 46_656
    const time = Math.trunc(this.#writes.writers.time.now()).toString(36).padStart(timeDigits, '0')
    return (time + this.#writer + this.#count.toString(36).padStart(3, '0')).slice(0, referenceBytes)
  }

  /** The messages of queue entries, in order; null for one whose body is not there. */
  async messagesOf(entries: readonly StoredQueueEntry[]): Promise<StoredBody[]> {
    const apart = new Map<string, StoredBody>()
    for (const { body } of entries) if (!Buffer.isBuffer(body)) apart.set(body.id, null)
    if (apart.size > 0) await this.#fetch(apart)
    return entries.map(({ body }) => (Buffer.isBuffer(body) ? this.#decode(body) : (apart.get(body.id) ?? null)))
  }

  async #fetch(found: Map<string, StoredBody>): Promise<void> {
    const { writers } = this.#writes
    const ids = [...found.keys()]
    const replies = await writers.readEach(
      ids,
      id => writers.keys.body(id),
      id => ['hget', writers.keys.body(id), bodyField],
      { instead: unreadable },
    )
    for (const [i, id] of ids.entries()) {
      const reply = replies[i]
      if (Buffer.isBuffer(reply)) found.set(id, this.#decode(reply))
      else if (reply === unreadable) found.set(id, unreadable)
    }
  }

  #decode(bytes: Buffer): StoredBody {
    try {
      return decodeMessage(bytes, undefined, this.#writes.writers.time.shift)
    } catch (error) {
      // A newer version can read it, so it must stay.
      if ((bytes[0] ?? 0) > messageFormat) throw error
      this.#writes.writers.refusals.unreadable(error as Error, 'a queued message')
      return unreadable
    }
  }

  /** A queue entry has gone, and with it its hold on a body. */
  unrefer({ id, ordinal }: BodyReference): Promise<unknown> {
    const key = this.#writes.writers.keys.body(id)
    return this.#writes.write(key, out => unrefer.write(out, { key, ordinal }), nothing)
  }

  /** Lets go of bodies whose queues are no more: what a crash between two slots of Redis Cluster leaves. Returns how many holds were let go. */
  async sweep(now = this.#writes.writers.time.now()): Promise<number> {
    const { writers } = this.#writes
    const { link, keys } = writers
    let freed = 0
    for (const master of link.masters()) {
      let cursor = '0'
      do {
        const [page] = await link.ask(master, [['scan', cursor, 'match', keys.bodyPattern, 'count', 500]])
        if (page instanceof Error) return freed
        const [next, names] = page as [Buffer, Buffer[]]
        cursor = next.toString()
        const old = names.map(String).filter(name => now - timeOf(name.slice(keys.bodyPrefix.length)) > sweepAgeMs)
        // One that is no body is left as it is.
        for (const name of old) freed += await this.#sweepOne(name).catch(() => 0)
      } while (cursor !== '0' && link.up)
    }
    return freed
  }

  async #sweepOne(name: string): Promise<number> {
    const { writers } = this.#writes
    const writer = writers.of(name)
    const [names] = (await writer.read([['hkeys', name]])) as [Buffer[]]
    const ordinals = names.map(String).filter(field => field !== bodyField)
    if (ordinals.length === 0) {
      await this.#writes.command('del', name, [])
      return 1
    }
    const [queues] = (await writer.read([['hmget', name, ...ordinals]])) as [(Buffer | null)[]]
    let freed = 0
    const there = new Map<string, boolean>()
    for (const [i, ordinal] of ordinals.entries()) {
      const queue = String(queues[i])
      if (!there.has(queue)) there.set(queue, (await writers.of(queue).read([['exists', queue]]))[0] === 1)
      if (there.get(queue) === true) continue
      freed += 1
      await this.unrefer({ id: name.slice(writers.keys.bodyPrefix.length), ordinal: Number(ordinal) })
    }
    return freed
  }
}

function timeOf(reference: string): number {
  return Number.parseInt(reference.slice(0, timeDigits), 36)
}

/** What stands for a message whose body is lost, in `onDrop`. */
export function lostMessage(now: number): Message {
  return new Message({ topic: '', payload: Buffer.alloc(0), qos: 0, retain: false, origin: 'server', clientId: '', receivedAt: now })
}
