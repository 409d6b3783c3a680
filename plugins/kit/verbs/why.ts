import type { Broker } from '../../../core/broker.ts'
import type { Client, Session } from '../../../core/connection/client.ts'
import { OperatorError } from '../../../core/errors.ts'
import { Message } from '../../../core/messages/message.ts'
import type { Publisher } from '../../../core/publisher.ts'
import type { Member, ShareGroup } from '../../../core/routing/share-group.ts'
import { isReservedTopic, isTopicFilter, isTopicName, parseShare } from '../../../core/routing/topic.ts'
import { type DropRow, dropsOf } from '../services/drops.ts'
import type { whyVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { lookAtTaps, tapsOf } from './pure-taps.ts'
import type { MissingNode } from './verbs.ts'

/** Why a client may or may not do something, or gets something or not. Nothing was changed to find it out. */
export interface WhyAnswer {
  /** The client id. */
  readonly id: string
  /** What was asked: it would be let, or would get it, as far as those say that could be asked. */
  readonly yes: boolean
  /** The same in a sentence. */
  readonly verdict: string
  /** The node that has said so. */
  readonly node: string
  /** Its client is connected there. */
  readonly connected: boolean
  /** What was looked at, in order. */
  readonly rows: readonly WhyRow[]
  /** What was dropped or refused of it lately, the newest first. */
  readonly drops: readonly DropRow[]
  /** Nodes that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** One thing that was looked at. */
export interface WhyRow {
  /** What was asked: the session, a plugin at a hook, the router. */
  readonly asked: string
  /** What it says. */
  readonly says: string
}

const dropsMax = 10
const shownMax = 10

/** Asks rights, router and taps that change nothing what would become of a publish, a subscription, or a message for a client. */
export const why: VerbWork<typeof whyVerb.takes> = {
  async run(broker, { id, action, topic }): Promise<WhyAnswer> {
    const look = new Look(broker, id)
    await look.bans()
    await (action === 'publish' ? look.publish(topic) : action === 'subscribe' ? look.subscribe(topic) : look.receive(topic))
    return look.answer()
  },
  merge(parts, missing): WhyAnswer {
    const answers = parts.map(({ answer }) => answer as WhyAnswer)
    const best = answers.find(({ connected }) => connected) ?? answers[0]!
    const drops = answers.flatMap(one => one.drops).sort((a, b) => b.at - a.at)
    return { ...best, drops: drops.slice(0, dropsMax), ...(missing.length > 0 ? { missing } : {}) }
  },
}

// What is read of a row of `bans`.
interface BannedRow {
  readonly by: string
  readonly name: string
  readonly endsAt: number | null
  readonly actor: string | null
  readonly reason: string | null
}

class Look {
  readonly #broker: Broker
  readonly #id: string
  readonly #session: Session | undefined
  readonly #client: Client | undefined
  readonly #rows: WhyRow[] = []
  #no: string | null = null

  constructor(broker: Broker, id: string) {
    this.#broker = broker
    this.#id = id
    this.#session = broker.sessionOf(id)
    const client = broker.clientOf(id)
    this.#client = client?.state === 'connected' ? client : undefined
    this.#who()
  }

  answer(): WhyAnswer {
    const verdict = this.#no ?? 'yes, as far as those say that could be asked'
    return {
      id: this.#id,
      yes: this.#no === null,
      verdict,
      node: this.#broker.verbs.node,
      connected: this.#client !== undefined,
      rows: this.#rows,
      drops: dropsOf(this.#broker)?.last(dropsMax, this.#id) ?? [],
    }
  }

  // The first no is the answer; what follows is still said.
  #say(asked: string, says: string, refuses = false): void {
    this.#rows.push({ asked, says })
    if (refuses) this.#no ??= `no: ${asked}: ${says}`
  }

  #who(): void {
    const client = this.#client
    const session = this.#session
    if (client !== undefined) {
      const since = new Date(client.acceptedAt).toISOString().slice(0, 19)
      this.#say('session', `connected since ${since}Z from ${client.remoteAddress}, as ${userOf(client)}`)
    } else if (session === undefined) this.#say('session', 'there is none, and no client of this id is connected', true)
    else if (session.node !== null) this.#say('session', `its client is connected to node ${session.node}`)
    else this.#say('session', `it is kept, and no client is connected; the last one was ${userOf(session)}`)
  }

  /** Whether it may connect at all, where plugin `ban` is on. */
  async bans(): Promise<void> {
    const { verbs } = this.#broker
    if (verbs.find('bans') === undefined) return
    const user = (this.#client ?? this.#session)?.username ?? null
    for (const [by, name] of [
      ['id', this.#id],
      ['user', user],
    ] as const) {
      if (name === null) continue
      const { rows } = (await this.#broker.inspect('bans' as string, { match: name, limit: 200 })) as { rows: readonly BannedRow[] }
      const found = rows.find(row => row.by === by && row.name === name)
      if (found === undefined) continue
      const until = found.endsAt === null ? 'until unban' : `until ${new Date(found.endsAt).toISOString().slice(0, 19)}Z`
      const says = `${by} ${name} may not connect, ${until}; ${found.actor ?? 'somebody'} said so${found.reason === null ? '' : `: ${found.reason}`}`
      this.#say('ban', says)
      // That there is no connection comes of it.
      this.#no = `no: ban: ${says}`
    }
  }

  get #publisher(): Publisher {
    return this.#client ?? this.#session ?? { clientId: this.#id, username: null, rights: null }
  }

  async publish(topic: string): Promise<void> {
    const { settings, services } = this.#broker
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `why: ${topic} is no topic name; it has no + and no #`)
    if (isReservedTopic(topic)) this.#say('broker', 'clients cannot publish to this topic', true)
    if (topic.split('/').length > settings.mqtt.topicLevelsMax)
      this.#say('mqtt.topicLevelsMax', `the topic has more than ${settings.mqtt.topicLevelsMax} levels`, true)
    if (topic.length > settings.mqtt.topicLengthMax)
      this.#say('mqtt.topicLengthMax', `the topic has more than ${settings.mqtt.topicLengthMax} characters`, true)
    this.#authorize('publish', topic)
    await this.#decide('onPublish', this.#message(topic))
    const trouble = services.find('sessions')?.trouble?.() ?? null
    if (trouble !== null) this.#say('store', `it would not keep QoS 1 and 2: ${trouble.message}`, true)
    const { targets, groups } = this.#broker.routeOf(topic)
    this.#say('router', `${targets.length} sessions and ${groups.length} shared groups of this node's table would get it`)
    const open = this.#client?.unanswered ?? 0
    if (open > 0) this.#say('acknowledgements', `${open} of its publishes have none yet`)
  }

  async subscribe(filter: string): Promise<void> {
    const { capabilities, settings } = this.#broker
    if (!isTopicFilter(filter)) this.#say('broker', 'this is no topic filter; + and # stand alone between slashes', true)
    if (parseShare(filter) !== null && !capabilities.sharedSubscriptions)
      this.#say('broker', 'plugin shareTopic is off, so there are no shared subscriptions', true)
    const held = this.#session?.subscriptions
    if (held?.has(filter) === true) this.#say('session', 'it has this subscription')
    else if (settings.mqtt.subscriptionsMax !== null && (held?.size ?? 0) >= settings.mqtt.subscriptionsMax)
      this.#say('mqtt.subscriptionsMax', `the session holds ${settings.mqtt.subscriptionsMax} filters already`, true)
    this.#authorize('subscribe', filter)
    await this.#decide('onSubscribe', {
      filter,
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      identifier: 0,
      existed: false,
      lifetime: 'session',
    })
  }

  async receive(topic: string): Promise<void> {
    if (!isTopicName(topic)) throw new OperatorError('ERR_ARGUMENTS', `why: ${topic} is no topic name; it has no + and no #`)
    const broker = this.#broker
    const store = broker.services.find('sessions')
    if (store?.looksUpSubscribers === true) broker.refreshSessions(topic, (await store.subscribersOf?.(topic)) ?? [])
    const { targets, groups } = broker.routeOf(topic)
    const target = targets.find(({ subscriber }) => subscriber.clientId === this.#id)
    for (const { filter, qos, noLocal } of target?.subscriptions ?? [])
      this.#say('router', `matches its subscription ${filter}, QoS ${qos}${noLocal ? ', but not what it publishes itself (No Local)' : ''}`)
    const shared = groups.filter(({ members }) => members.some(({ subscriber }) => subscriber.clientId === this.#id))
    for (const group of shared) this.#share(group, topic)
    if (target === undefined && shared.length === 0) this.#unmatched()
    this.#waiting()
    for (const { name } of tapsOf(broker.hooks.onDeliver))
      this.#say(`${name}, onDeliver`, 'not asked; it may still keep the message from it')
  }

  #unmatched(): void {
    const filters = [...(this.#session?.subscriptions.keys() ?? [])]
    const shown = filters.slice(0, shownMax).join(', ')
    const more = filters.length > shownMax ? ` and ${filters.length - shownMax} more` : ''
    this.#say('router', filters.length === 0 ? 'it has subscribed to nothing' : `none of its subscriptions matches: ${shown}${more}`, true)
  }

  // One member gets it, and that may be another.
  #share(group: ShareGroup<Session>, topic: string): void {
    const { key, members } = group
    let next: Member<Session> | undefined
    let by = 'the first member that is connected'
    for (const tap of tapsOf(this.#broker.hooks.onShare)) {
      const ask = tap.look ?? (tap.pure === true ? tap.fn : undefined)
      if (ask === undefined) {
        this.#say(`${tap.name}, onShare`, `not asked who of the ${members.length} members of ${key} is next`)
        return
      }
      next = (ask as (...args: unknown[]) => Member<Session> | undefined)(group, this.#message(topic))
      const reason = (tap.explain as (() => string | undefined) | undefined)?.()
      by = reason === undefined ? tap.name : `${tap.name}, ${reason}`
      if (next !== undefined) break
    }
    const who = next === undefined ? 'any of them' : next.subscriber.clientId === this.#id ? 'this one' : next.subscriber.clientId
    this.#say('router', `it is one of ${members.length} members of ${key}; the next message goes to ${who} (${by})`)
  }

  #waiting(): void {
    const client = this.#client
    if (client === undefined) {
      if (this.#session !== undefined && this.#session.node === null)
        this.#say('connection', 'there is none: QoS 1 and 2 wait in its queue, QoS 0 is dropped', true)
      return
    }
    const { inFlight, queued, unwrittenBytes } = client
    if (inFlight + queued + unwrittenBytes > 0)
      this.#say('connection', `${inFlight} messages are not acknowledged, ${queued} wait, ${unwrittenBytes} bytes are not taken`)
    if (client.congested) this.#say('connection', 'it does not take what waits: its window is full or its bytes do not leave')
  }

  #authorize(action: 'publish' | 'subscribe', topic: string): void {
    const taps = tapsOf(this.#broker.hooks.onAuthorize)
    if (taps.length === 0) return this.#say('onAuthorize', 'no plugin decides about rights')
    for (const { name, fn, explain } of taps) {
      const said = fn(this.#publisher, action, topic)
      const reason = (explain as ((...args: unknown[]) => string | undefined) | undefined)?.(this.#publisher, action, topic)
      const answer =
        said === undefined
          ? 'has no objection'
          : said === true
            ? 'allows it'
            : said === false
              ? 'refuses it'
              : `refuses it (${String(said)})`
      this.#say(`${name}, onAuthorize`, reason === undefined ? answer : `${answer}: ${reason}`, said !== undefined && said !== true)
      if (said !== undefined) return
    }
  }

  async #decide(hook: 'onPublish' | 'onSubscribe', about: object): Promise<void> {
    for await (const { name, asked, said } of lookAtTaps(this.#broker.hooks[hook], this.#publisher, about)) {
      if (!asked) this.#say(`${name}, ${hook}`, 'not asked; it may still refuse')
      else
        this.#say(`${name}, ${hook}`, said === undefined ? 'has no objection' : `refuses it: ${JSON.stringify(said)}`, said !== undefined)
    }
  }

  #message(topic: string): Message {
    const { clientId, username } = this.#publisher
    const receivedAt = this.#broker.now
    return new Message({ topic, payload: Buffer.alloc(0), qos: 0, retain: false, origin: 'client', clientId, username, receivedAt })
  }
}

function userOf({ username }: Publisher): string {
  return username === null ? 'nobody (no user name)' : `user ${username}`
}
