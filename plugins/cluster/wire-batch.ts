import type { Broker } from '../../core/broker.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Receipt } from '../../core/messages/receipt.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import type { Batch } from './batch.ts'
import { ClusterVersionError, wireVersion } from './cluster-version.ts'

const Flag = {
  /** For those of the node's clients whose own filters match. */
  Plain: 1,
  /** The PUBLISH is one of MQTT 5; else of 3.1.1. */
  Five: 2,
  /** The publisher and the time are those of the message before. */
  Same: 4,
  /** The publisher's user name is known. */
  User: 8,
  /** It has one. */
  Named: 16,
} as const
// Flags, the number of members that were picked, and the length of the PUBLISH.
const headBytes = 1 + 2 + 4
// The time, and the lengths of client id and user name.
const sourceBytes = 8 + 2 + 4
const firstBytes = 4096
const keptBytes = 131_072
const picksMax = 0xffff
// The sender's packet identifier says nothing here; 0 is none.
const anyPacketId = 1

/**
 * Messages for another worker of this broker, each as the PUBLISH that its publisher sent, so that neither side encodes or decodes anything twice: what the other worker's clients
 * get is copied out of the frame. Between workers only, which are all of one version.
 */
export class WireBatch implements Batch {
  readonly receipts: Receipt[]
  last: Message | null
  // What the message before came by.
  #source: Message | null
  #bytes: Buffer
  #used: number
  // Where the head of the last message is.
  #head: number

  constructor() {
    this.receipts = []
    this.last = null
    this.#source = null
    this.#bytes = Buffer.allocUnsafeSlow(firstBytes)
    this.#bytes[0] = wireVersion
    this.#used = 1
    this.#head = 0
  }

  get bytes(): number {
    return this.#used - 1
  }

  add(message: Message, pick: PickedMember | null): void {
    const five = message.wireVersion === 5
    const frame = message.wireFrame()
    const isSame = this.#isSame(message)
    const sourceMax = isSame ? 0 : sourceBytes + 3 * (message.clientId.length + (message.username?.length ?? 0))
    this.#reserve(headBytes + sourceMax + frame.length)
    const bytes = this.#bytes
    const head = this.#used
    let at = head + headBytes
    let flags = (pick === null ? Flag.Plain : 0) | (five ? Flag.Five : 0)
    if (isSame) flags |= Flag.Same
    else {
      const { username } = message
      if (username !== undefined) flags |= username === null ? Flag.User : Flag.User | Flag.Named
      at = this.#writeSource(message, at)
    }
    bytes[head] = flags
    bytes[head + 1] = 0
    bytes[head + 2] = 0
    bytes.writeUInt32BE(frame.length, head + 3)
    bytes.set(frame.head, at)
    bytes[at] = frame.header
    if (frame.packetIdAt !== -1) bytes.writeUInt16BE(anyPacketId, at + frame.packetIdAt)
    if (frame.payload !== null) bytes.set(frame.payload, at + frame.head.length)
    this.#used = at + frame.length
    this.#head = head
    this.last = message
    if (pick !== null) this.also(pick)
  }

  /** The last message is for this member too; null: for those whose own filters match. */
  also(pick: PickedMember | null): boolean {
    const head = this.#head
    if (pick === null) {
      this.#bytes[head]! |= Flag.Plain
      return true
    }
    const picks = this.#bytes.readUInt16BE(head + 1)
    if (picks === picksMax) return false
    this.#bytes.writeUInt16BE(picks + 1, head + 1)
    this.#writeText(pick.group)
    this.#writeText(pick.clientId)
    return true
  }

  /** All of it as one frame; begins anew. */
  take(): Buffer {
    const frame = Buffer.from(this.#bytes.subarray(0, this.#used))
    if (this.#bytes.length > keptBytes) {
      this.#bytes = Buffer.allocUnsafeSlow(firstBytes)
      this.#bytes[0] = wireVersion
    }
    this.#used = 1
    this.last = null
    this.#source = null
    return frame
  }

  #isSame(message: Message): boolean {
    const before = this.#source
    if (before === message) return true
    this.#source = message
    if (before === null) return false
    return before.clientId === message.clientId && before.receivedAt === message.receivedAt && before.username === message.username
  }

  #writeSource({ clientId, username, receivedAt }: Message, start: number): number {
    const bytes = this.#bytes
    let at = bytes.writeDoubleBE(receivedAt, start)
    at = writeText(bytes, clientId, at)
    return typeof username === 'string' ? writeLongText(bytes, username, at) : at
  }

  #writeText(text: string): void {
    this.#reserve(2 + text.length * 3)
    this.#used = writeText(this.#bytes, text, this.#used)
  }

  #reserve(size: number): void {
    const needed = this.#used + size
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = larger
  }
}

function writeText(bytes: Buffer, text: string, start: number): number {
  const length = bytes.write(text, start + 2)
  bytes.writeUInt16BE(length, start)
  return start + 2 + length
}

// Whoever admits a client may give it a name of any length.
function writeLongText(bytes: Buffer, text: string, start: number): number {
  const length = bytes.write(text, start + 4)
  bytes.writeUInt32BE(length, start)
  return start + 4 + length
}

const noPicks: readonly PickedMember[] = []

/** Reads what a `WireBatch` has written, and has the broker bring it to its clients. `received`: called for each message. Yields what to wait for before the next one. */
export function* receiveWire(broker: Broker, from: string, given: Buffer, received: () => void): Generator<Promise<void>> {
  let frame = given
  if (frame[0] !== wireVersion) throw new ClusterVersionError(from, frame[0]!)
  let source = { clientId: '', username: undefined as string | null | undefined, receivedAt: 0 }
  let at = 1
  while (at < frame.length) {
    const flags = frame[at]!
    const picks = frame.readUInt16BE(at + 1)
    const length = frame.readUInt32BE(at + 3)
    at += headBytes
    if ((flags & Flag.Same) === 0) {
      const receivedAt = frame.readDoubleBE(at)
      const idEnd = at + 10 + frame.readUInt16BE(at + 8)
      const clientId = frame.utf8Slice(at + 10, idEnd)
      let username: string | null | undefined = (flags & Flag.User) === 0 ? undefined : null
      at = idEnd
      if ((flags & Flag.Named) !== 0) {
        const nameEnd = at + 4 + frame.readUInt32BE(at)
        username = frame.utf8Slice(at + 4, nameEnd)
        at = nameEnd
      }
      source = { clientId, username, receivedAt }
    }
    const message = broker.readWire(frame, at, at + length, (flags & Flag.Five) !== 0 ? 5 : 4, source)
    at += length
    let picked = noPicks
    if (picks > 0) {
      const found: PickedMember[] = []
      for (let i = 0; i < picks; i++) {
        const groupEnd = at + 2 + frame.readUInt16BE(at)
        const idEnd = groupEnd + 2 + frame.readUInt16BE(groupEnd)
        found.push({ group: frame.utf8Slice(at + 2, groupEnd), clientId: frame.utf8Slice(groupEnd + 2, idEnd) })
        at = idEnd
      }
      picked = found
    }
    received()
    const rest = broker.receive(message, (flags & Flag.Plain) !== 0, picked)
    if (rest === undefined) continue
    // The bytes are the bus's own again when this turn is over.
    frame = Buffer.from(frame.subarray(at))
    at = 0
    yield rest
  }
}
