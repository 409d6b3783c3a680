import { isReservedTopic, isTopicName } from '../../core/routing/topic.ts'

type Part = { readonly text: string } | { readonly name: 'topic' | 'clientId' } | { readonly level: number }

const placeholder = /\{([^{}]*)\}/g

/** What a rule makes names of: text, and parts of a message in braces: `{topic}`, `{topic[1]}`, `{clientId}`. */
export class TopicTemplate {
  readonly #parts: readonly Part[]
  /** The template holds `{clientId}`: one topic name may give different texts. */
  readonly byClient: boolean
  /** What stands between the placeholders. */
  readonly texts: readonly string[]

  private constructor(parts: readonly Part[]) {
    this.#parts = parts
    this.byClient = parts.some(part => 'name' in part && part.name === 'clientId')
    this.texts = parts.flatMap(part => ('text' in part ? [part.text] : []))
  }

  /** Throws an error that says what is wrong with it. `filter`: that of the rule, which says how many levels there can be. */
  static parse(source: string, filter: string): TopicTemplate {
    const parts: Part[] = []
    let end = 0
    for (const match of source.matchAll(placeholder)) {
      if (match.index > end) parts.push({ text: plain(source.slice(end, match.index)) })
      parts.push(partOf(match[1]!, filter))
      end = match.index + match[0].length
    }
    if (end < source.length) parts.push({ text: plain(source.slice(end)) })
    return new TopicTemplate(parts)
  }

  /** The template holds no placeholder, so the text is the same for every message. */
  get fixed(): boolean {
    return this.#parts.every(part => 'text' in part)
  }

  /** The text for a message with this topic name, from a client with this id. */
  fill(topic: string, clientId: string): string {
    let levels: string[] | undefined
    let text = ''
    for (const part of this.#parts) {
      if ('text' in part) text += part.text
      else if ('name' in part) text += part.name === 'topic' ? topic : clientId
      else {
        levels ??= topic.split('/')
        text += levels[part.level] ?? ''
      }
    }
    return text
  }

  /**
   * The topic name for a message with this topic name, from a client with this id; null where the client's words make none of it. A client id stands for
   * one level, so one with `/`, `+` or `#` in it makes none, and neither does a `$` at the beginning that the rule has not.
   */
  topicName(topic: string, clientId: string): string | null {
    if (this.byClient && /[+#/]/.test(clientId)) return null
    const name = this.fill(topic, clientId)
    if (!isTopicName(name) || isReservedTopic(name)) return null
    return name.startsWith('$') && !this.#beginsAsTopic ? null : name
  }

  // What the name begins with stands in the rule, or began the topic name, which its publisher was allowed.
  get #beginsAsTopic(): boolean {
    const first = this.#parts[0]!
    return 'text' in first || ('name' in first ? first.name === 'topic' : first.level === 0)
  }
}

function partOf(name: string, filter: string): Part {
  if (name === 'topic' || name === 'clientId') return { name }
  const level = /^topic\[(\d+)\]$/.exec(name)
  if (level === null) throw new Error(`{${name}} stands for nothing; there are {topic}, {topic[0]} and on, and {clientId}`)
  const number = Number(level[1])
  const levels = filter.split('/').length
  if (!filter.endsWith('#') && number >= levels) {
    throw new Error(`{${name}}: topics that match ${filter} have ${levels} levels, the first being {topic[0]}`)
  }
  return { level: number }
}

function plain(text: string): string {
  if (/[{}]/.test(text)) throw new Error('braces come in pairs, around topic, topic[N] or clientId')
  return text
}
