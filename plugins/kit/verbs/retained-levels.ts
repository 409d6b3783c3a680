import { OperatorError } from '../../../core/errors.ts'
import { isTopicName } from '../../../core/routing/topic.ts'
import type { retainTreeVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'

/** A level of the tree that the topics of retained messages make. */
export interface RetainedLevelRow {
  /** The level's own text: `plant`. */
  readonly level: string
  /** The topic so far: `site/plant`. */
  readonly topic: string
  /** Retained messages at it and below. */
  readonly messages: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** The topic itself has one. */
  readonly retained: boolean
  /** When the newest of them came: milliseconds since the Unix epoch. */
  readonly newestAt: number
}

/** The levels below a topic. */
export interface RetainedTreeAnswer {
  /** The levels, by name. */
  readonly rows: readonly RetainedLevelRow[]
  /** There are more levels, or so many messages that not all were looked at. */
  readonly more: boolean
}

const lookedAtMax = 50_000
const levelsMax = 200
const pageRows = 500

/** The next level below a topic: a tree is looked at a level at a time. */
export const retainedTree: VerbWork<typeof retainTreeVerb.takes> = {
  async run(broker, { prefix }): Promise<RetainedTreeAnswer> {
    if (prefix !== '' && !isTopicName(prefix))
      throw new OperatorError('ERR_ARGUMENTS', `retained tree: ${prefix} is no part of a topic name; it has no + and no #`)
    const found = new Map<string, { -readonly [K in keyof RetainedLevelRow]: RetainedLevelRow[K] }>()
    const cursor = broker.services.get('retained').match(prefix === '' ? '#' : `${prefix}/#`)
    const start = prefix === '' ? 0 : prefix.length + 1
    let looked = 0
    let more = false
    for (;;) {
      const page = await cursor.next(pageRows)
      for (const { topic, payloadLength, receivedAt } of page.messages) {
        // `#` matches the level above, too.
        if (topic.length < start) continue
        const slash = topic.indexOf('/', start)
        const path = slash === -1 ? topic : topic.slice(0, slash)
        let row = found.get(path)
        if (row === undefined) {
          if (found.size === levelsMax) {
            more = true
            continue
          }
          found.set(path, (row = { level: path.slice(start), topic: path, messages: 0, bytes: 0, retained: false, newestAt: 0 }))
        }
        row.messages += 1
        row.bytes += payloadLength
        row.newestAt = Math.max(row.newestAt, Math.round(receivedAt))
        if (slash === -1) row.retained = true
      }
      looked += page.messages.length
      if (page.done) break
      if (looked >= lookedAtMax) {
        more = true
        break
      }
      await broker.turns.next()
    }
    return { rows: [...found.values()].sort((a, b) => (a.level < b.level ? -1 : 1)), more }
  },
}
