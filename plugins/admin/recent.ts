import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { isTopicFilter, matches } from '../../core/routing/topic.ts'
import { cutText } from '../kit/cut-text.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { inSlices } from '../kit/verbs/page.ts'
import type { RecentAnswer, RecentRow } from './answers.ts'
import { recentVerb } from './verbs.ts'

/** The last messages of clients that this node has accepted, without payloads: a ring of columns, so that one more costs no object. Off, it taps nothing. */
export class Recent {
  readonly #context: PluginContext
  readonly #size: number
  readonly #at: Float64Array
  readonly #bytes: Uint32Array
  // The QoS in bits 0 and 1, RETAIN in bit 2.
  readonly #flags: Uint8Array
  readonly #ids: string[]
  readonly #topics: string[]
  #count = 0

  /** `size`: how many are remembered; null: none. */
  constructor(context: PluginContext, size: number | null) {
    const { broker, hooks } = context
    this.#context = context
    this.#size = size ?? 0
    this.#at = new Float64Array(this.#size)
    this.#bytes = new Uint32Array(this.#size)
    this.#flags = new Uint8Array(this.#size)
    this.#ids = []
    this.#topics = []
    if (size !== null) hooks.onRoute.tap({ name: 'admin', stage: Stage.Observe }, message => this.#keep(message))
    broker.verbs.add(
      defineVerb(broker, recentVerb, {
        run: (_broker, given) => this.#find(given),
        merge: (parts, missing, { limit }) => {
          const answers = parts.map(({ answer }) => answer as RecentAnswer)
          const sum = (of: (answer: RecentAnswer) => number): number => answers.reduce((all, answer) => all + of(answer), 0)
          const since = Math.max(...answers.map(answer => answer.sinceAt))
          const rows = answers.flatMap(answer => answer.rows).sort((a, b) => b.at - a.at)
          return {
            sinceAt: since,
            messages: sum(answer => answer.messages),
            bytes: sum(answer => answer.bytes),
            rows: rows.slice(0, limit),
            ...(missing.length > 0 ? { missing } : {}),
          }
        },
      }),
    )
  }

  #keep({ origin, clientId, topic, qos, retain, payloadLength, receivedAt }: Message): void {
    if (origin !== 'client') return
    const at = this.#count % this.#size
    this.#count += 1
    this.#at[at] = receivedAt
    this.#bytes[at] = payloadLength
    this.#flags[at] = qos | (retain ? 4 : 0)
    this.#ids[at] = clientId
    this.#topics[at] = topic.length > 200 ? cutText(topic) : topic
  }

  async #find({ id, topic, since, limit }: OptionsOf<typeof recentVerb.takes>): Promise<RecentAnswer> {
    if (this.#size === 0)
      throw new OperatorError(
        'ERR_ARGUMENTS',
        'recent: nothing is remembered; say how many messages, as in admin.recent: 100000, or watch with trace',
      )
    if (topic !== null && !isTopicFilter(topic)) throw new OperatorError('ERR_ARGUMENTS', `recent: ${topic} is no topic filter`)
    const from = this.#context.clock.now() - since
    const rows: RecentRow[] = []
    let [messages, bytes] = [0, 0]
    const end = this.#count
    await inSlices(this.#context.broker, this.#back(end, from), at => {
      // It may have been written over meanwhile.
      if ((id !== null && this.#ids[at] !== id) || (topic !== null && !matches(topic, this.#topics[at]!))) return
      messages += 1
      bytes += this.#bytes[at]!
      if (rows.length < limit) rows.push(this.#row(at))
    })
    // Where the ring is shorter than the time that was asked for, it says so.
    const oldest = end <= this.#size ? from : Math.max(from, this.#at[end % this.#size]!)
    return { sinceAt: Math.round(oldest), messages, bytes, rows }
  }

  // The newest first.
  *#back(end: number, from: number): Iterable<number> {
    for (let n = end - 1; n >= 0 && n >= end - this.#size; n--) {
      const at = n % this.#size
      if (this.#at[at]! < from) return
      yield at
    }
  }

  #row(at: number): RecentRow {
    const flags = this.#flags[at]!
    return {
      at: Math.round(this.#at[at]!),
      id: this.#ids[at]!,
      topic: this.#topics[at]!,
      qos: flags & 3,
      retain: (flags & 4) !== 0,
      bytes: this.#bytes[at]!,
      node: this.#context.broker.verbs.node,
    }
  }
}
