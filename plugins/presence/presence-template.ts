import { isTopicFilter, isTopicName } from '../../core/routing/topic.ts'

/** What stands for something in a template. */
export type PresenceName = 'clientId' | 'username' | 'node'

const names: readonly string[] = ['clientId', 'username', 'node'] satisfies PresenceName[]
const placeholder = /\{([^{}]*)\}/g

/** A topic name with parts in braces, each of which stays within its level whatever a client is called. */
export class PresenceTemplate {
  readonly #source: string
  /** The filter that all its topic names match. */
  readonly filter: string

  /** Throws an error that says what is wrong with it. `without`: what must not stand in it, and why. */
  constructor(source: string, without: { readonly [name in PresenceName]?: string } = {}) {
    this.#source = source
    for (const [, name] of source.matchAll(placeholder)) {
      if (!names.includes(name!)) throw new Error(`{${name}} stands for nothing; there are {clientId}, {username} and {node}`)
      const why = without[name as PresenceName]
      if (why !== undefined) throw new Error(`{${name}} must not stand there: ${why}`)
    }
    if (!source.includes('{clientId}')) throw new Error('{clientId} is missing, so that all clients would have one topic; add it')
    this.filter = this.filterOf({})
    const example = source.replace(placeholder, 'x')
    if (!isTopicName(example)) throw new Error(`it makes no topic name: ${JSON.stringify(example)}`)
    if (example.startsWith('$') && !example.startsWith('$SYS/'))
      throw new Error('topics that begin with $ have meanings of their own; begin with $SYS/, or without $')
    if (!isTopicFilter(this.filter)) throw new Error('braces come in pairs, around clientId, username or node')
  }

  /** The topic name; null where what it is made of makes none, as one that is too long. */
  fill(facts: { readonly clientId: string; readonly username: string | null; readonly node: string }): string | null {
    const topic = this.#source.replace(placeholder, (_all, name: PresenceName) => level(facts[name] ?? ''))
    // No client makes a system topic of one that is none.
    const own = topic.startsWith('$') && !this.#source.startsWith('$') ? `%24${topic.slice(1)}` : topic
    return isTopicName(own) ? own : null
  }

  /** The filter of the topic names for which so much is known. */
  filterOf(known: { readonly clientId?: string }): string {
    return this.#source
      .split('/')
      .map(part => {
        let isOpen = false
        const text = part.replace(placeholder, (_all, name: PresenceName) => {
          if (name === 'clientId' && known.clientId !== undefined) return level(known.clientId)
          isOpen = true
          return ''
        })
        return isOpen ? '+' : text
      })
      .join('/')
      .replace(/^\$/, this.#source.startsWith('$') ? '$' : '%24')
  }
}

/** A text as one level, or part of one. `%` is encoded too, so that no two clients share a topic. */
function level(text: string): string {
  return text.replace(/[%+#/]/g, encodeURIComponent)
}
