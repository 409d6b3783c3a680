import { decodeMessage } from '../kit/stored-message.ts'
import type { CheckedRows } from './checked-rows.ts'
import { isCut, isWholeTopic, Kind, retainedStart } from './keys.ts'

// Rows looked at for each that is asked for, so that no page takes for ever.
const visitsPerRow = 8
// Rows that match one after the other are read in one go.
const readAhead = 50

/**
 * Walks the keys of the retained messages that match a filter, in their order. What cannot match is leapt over, not read: from each topic
 * that does not match follows the next key that could.
 */
export class RetainedWalk {
  readonly #database: Pick<CheckedRows, 'get' | 'keys'>
  readonly #levels: readonly string[]
  readonly #end: Buffer
  // Where to go on; null when there is nothing more.
  #at: Buffer | null

  constructor(database: Pick<CheckedRows, 'get' | 'keys'>, filter: string) {
    this.#database = database
    this.#levels = filter.split('/')
    const fixed = this.#levels.findIndex(level => level === '+' || level === '#')
    const start = retainedStart(fixed === -1 ? this.#levels : this.#levels.slice(0, fixed))
    this.#at = start
    // Whatever begins with the levels before the first wildcard, and nothing else.
    this.#end = fixed === 0 ? Buffer.from([Kind.Retained + 1]) : Buffer.concat([start, isCut(start) ? Buffer.alloc(33, 255) : one])
  }

  next(limit: number): { readonly rows: Buffer[]; readonly done: boolean } {
    const rows: Buffer[] = []
    let visits = limit * visitsPerRow
    while (this.#at !== null && rows.length < limit && visits > 0) {
      let read = 0
      const ahead = Math.min(readAhead, limit - rows.length, visits)
      let leap: Buffer | null = null
      for (const key of this.#database.keys(this.#at, this.#end, ahead)) {
        read += 1
        visits -= 1
        const whole = isWholeTopic(key)
        const topic = whole ? key.toString('utf8', 1).split('\0') : topicOf(this.#database.get(key))
        const next: true | Buffer = topic === null ? key : this.#judge(topic)
        if (next === true) rows.push(key)
        this.#at = Buffer.concat([key, zero])
        // Very long topics stand in no order among themselves, so none is leapt over from there.
        if (next === true || !whole || next.compare(this.#at) <= 0) continue
        leap = next
        break
      }
      if (leap !== null) this.#at = leap
      else if (read < ahead) return this.#finish(rows)
    }
    return { rows, done: this.#at === null }
  }

  #finish(rows: Buffer[]): { readonly rows: Buffer[]; readonly done: boolean } {
    this.#at = null
    return { rows, done: true }
  }

  /** True where a topic matches; else where the next one that could may stand. */
  #judge(topic: readonly string[]): true | Buffer {
    const levels = this.#levels
    const first = levels[0]
    // [MQTT-4.7.2-1]
    if ((first === '+' || first === '#') && topic[0]!.startsWith('$')) return afterDollar
    let wildcard = -1
    for (let i = 0; i < levels.length; i++) {
      const level = levels[i]!
      if (level === '#') return true
      if (i === topic.length) return retainedStart([...topic, level === '+' ? '' : level])
      if (level === '+') {
        wildcard = i
        continue
      }
      const order = Buffer.from(topic[i]!).compare(Buffer.from(level))
      if (order < 0) return retainedStart([...topic.slice(0, i), level])
      // All of these that are still to come are greater: on to the next topic where anything goes.
      if (order > 0) return behind(topic.slice(0, wildcard + 1))
    }
    return topic.length === levels.length ? true : behind(topic.slice(0, levels.length))
  }
}

const zero = Buffer.from([0])
const one = Buffer.from([1])
const afterDollar = Buffer.from([Kind.Retained, 0x25])

// The key of a very long topic is not the topic. Null: its row is damaged.
function topicOf(row: Buffer | undefined): string[] | null {
  if (row === undefined) return null
  try {
    return decodeMessage(row).topic.split('/')
  } catch {
    return null
  }
}

// Behind a topic and all that is below it.
function behind(topic: readonly string[]): Buffer {
  return Buffer.concat([retainedStart(topic), one])
}
