import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'
import { readUtf8 } from './utf8.ts'

/** A topic name, and the bytes that it comes in; null while it has come once only. */
export interface CachedTopic {
  bytes: Buffer | null
  readonly topic: string
}

const entriesMax = 65_536
const cachedLengthMax = 256
const plus = 0x2b
const hash = 0x23
// A place's object, and the heads of its buffer and its text.
const entryBytes = 200

/**
 * Topic names by their bytes: one that was seen before costs a hash and a comparison instead of decoding and checking. Each
 * place holds one topic, and a newer one takes it over, so it is bounded: 65,536 topics of at most 256 bytes, 46 MiB.
 */
export class TopicCache {
  /** What `/metrics` calls it. */
  readonly name = 'topicNames'
  // Half a MiB, made when the first name comes.
  #entries: (CachedTopic | undefined)[] | null = null

  /** Reads a topic name of at least one character; wildcards are refused [MQTT-3.3.2-2]. Null where it is too long to be remembered. */
  find(bytes: Buffer, start: number, end: number): CachedTopic | null {
    if (end - start > cachedLengthMax) return null
    let code = 0x811c9dc5
    for (let i = start; i < end; i++) code = Math.imul(code ^ bytes[i]!, 0x01000193)
    const index = (code ^ (code >>> 16)) & (entriesMax - 1)
    const entries = (this.#entries ??= new Array(entriesMax).fill(undefined))
    const entry = entries[index]
    if (entry !== undefined && isSame(entry, bytes, start, end)) return entry
    const topic = readTopicName(bytes, start, end)
    // Many never come again, and a buffer costs a third of all that is done for such a publish (a retained message under a new topic: 9.0 → 6.1 µs).
    if (entry?.topic !== topic) return (entries[index] = { bytes: null, topic })
    // Not from Node's pool: an entry there would keep the 8 KiB alive that it shares with others, long after those have gone.
    entry.bytes = Buffer.allocUnsafeSlow(end - start)
    bytes.copy(entry.bytes, 0, start, end)
    return entry
  }

  /** Bytes that the names keep, as bytes and as text, roughly. Counted when asked, which is seldom. */
  get bytes(): number {
    return (this.#entries ?? []).reduce((sum, entry) => sum + (entry === undefined ? 0 : entryBytes + entry.topic.length * 2), 0)
  }

  /** Forgets all names. */
  clear(): void {
    this.#entries = null
  }
}

/** Reads a topic name without remembering it. */
export function readTopicName(bytes: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === plus || byte === hash) throw new MqttError(ReasonCode.TopicNameInvalid, `a topic name holds ${byte === hash ? '#' : '+'}`)
  }
  return readUtf8(bytes, start, end)
}

/** Whether the bytes are those of this topic name. Backwards, since topic names that differ mostly do so near their ends. */
export function isSame({ bytes: known }: CachedTopic, bytes: Buffer, start: number, end: number): boolean {
  if (known?.length !== end - start) return false
  for (let i = end - 1; i >= start; i--) if (known![i - start] !== bytes[i]) return false
  return true
}
