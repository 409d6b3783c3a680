import type { Message } from '../../core/messages/message.ts'
import type { QueueEntry } from '../../core/sessions/session-store.ts'
import { StoredFormatError } from '../kit/stored-message.ts'
import { type Bodies, unreadable } from './bodies.ts'
import { decodeQueueEntry, type StoredQueueEntry } from './queue-entry.ts'
import { releasedMark } from './script/layout.ts'
import { pageScript } from './script/page-script.ts'
import type { SlotWriters } from './slot-writers.ts'

/** Reads queues, a page at a time, behind all writes that were called before. */
export class QueueReader {
  readonly #writers: SlotWriters
  readonly #bodies: Bodies

  constructor(writers: SlotWriters, bodies: Bodies) {
    this.#writers = writers
    this.#bodies = bodies
  }

  /**
   * At most `limit` entries from behind `position`; null where no such session is stored, or another epoch than `epoch` owns it (null: whoever does). An
   * entry whose message is not there is left out, and `missing` is told its position. One that is there and cannot be read is left out, and stays where it is.
   */
  async read(
    clientId: string,
    epoch: number | null,
    position: number,
    limit: number,
    missing: (position: number) => void,
  ): Promise<QueueEntry[] | null> {
    const { keys } = this.#writers
    const names = { session: keys.session(clientId), queue: keys.queue(clientId), identifiers: keys.identifiers(clientId) }
    const found: QueueEntry[] = []
    let after = position
    for (;;) {
      const command = pageScript.whole(names, { epoch: epoch ?? '', position: after, limit: limit - found.length })
      const [reply] = await this.#writers.of(names.session).read([command])
      if (reply === null) return null
      const [members, states] = reply as [Buffer[], Buffer[]]
      const entries: StoredQueueEntry[] = []
      const statesOf: string[] = []
      for (const [i, member] of members.entries()) {
        const entry = this.#decode(member, names.queue, clientId)
        if (entry === null) continue
        entries.push(entry)
        statesOf.push(states[i]!.toString())
      }
      const messages = await this.#bodies.messagesOf(entries)
      for (const [i, entry] of entries.entries()) {
        const message = messages[i]
        if (message === unreadable) continue
        if (message == null) missing(entry.position)
        else found.push(queueEntryOf(entry, message, statesOf[i]!))
      }
      if (entries.length === 0 || found.length === limit || members.length < limit) return found
      after = entries.at(-1)!.position
    }
  }

  #decode(member: Buffer, queue: string, clientId: string): StoredQueueEntry | null {
    try {
      return decodeQueueEntry(member)
    } catch (error) {
      if (error instanceof StoredFormatError) throw error
      this.#writers.refusals.unreadable(error as Error, `an entry of ${queue}`, clientId)
      return null
    }
  }
}

/** An entry with its message; `state` is what is known of its packet identifier, '' for nothing. */
export function queueEntryOf(
  { position, packetId: given, qos, retain, identifiers, group }: ReturnType<typeof decodeQueueEntry>,
  message: Message,
  state: string,
): QueueEntry {
  const packetId = given !== 0 ? given : Number.parseInt(state, 10) || 0
  return { position, message, qos, retain, identifiers, group, packetId, released: state.endsWith(releasedMark) }
}
