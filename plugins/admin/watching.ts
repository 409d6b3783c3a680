import type { Actor } from '../../core/actor.ts'
import type { Client } from '../../core/connection/client.ts'
import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import { Stage } from '../../core/hooks.ts'
import type { Message } from '../../core/messages/message.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import type { Packet } from '../../core/protocol/packets.ts'
import type { Subscription } from '../../core/routing/subscription.ts'
import { isTopicFilter, matches, parseShare } from '../../core/routing/topic.ts'
import { packetLine, payloadLine } from '../kit/packet-line.ts'
import { addressTest } from '../kit/verbs/clients.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { Feed } from './feed.ts'
import { mergedFeed } from './merged-feed.ts'
import { tailVerb, traceVerb } from './verbs.ts'

interface Tail {
  readonly filter: string
  readonly payload: boolean
  readonly feed: Feed
}

interface Trace {
  readonly isWanted: (client: Client) => boolean
  readonly topic: string | null
  readonly payload: boolean
  readonly feed: Feed
  /** The client ids whose packets are traced for it. */
  readonly ids: Set<string>
}

// Whoever looks at more at once does not look.
const feedsMax = 20
const bytesMax = 64 * 1024 * 1024
const clientsMax = 1000
const subscriptionsMax = 1000
const tap = { name: 'admin', stage: Stage.Observe }

/** Lets operators see messages and packets as they pass. Nothing is tapped before somebody asks; what a reader does not take is dropped. */
export class Watching {
  readonly #context: PluginContext
  readonly #payloads: boolean
  readonly #tails = new Set<Tail>()
  readonly #traces = new Set<Trace>()
  // How many traces each client id is in.
  readonly #traced = new Map<string, number>()
  #tapsMessages = false
  #tapsPackets = false

  /** `payloads`: those with the role admin may see payloads. */
  constructor(context: PluginContext, payloads: boolean) {
    this.#context = context
    this.#payloads = payloads
    const { broker } = context
    broker.verbs.add(
      defineVerb(broker, tailVerb, {
        run: (_broker, given, actor) => this.#tail(given, actor),
        merge: (parts, missing, { limit }) => mergedFeed(parts, missing, { piecesMax: limit, bytesMax }),
      }),
    )
    broker.verbs.add(
      defineVerb(broker, traceVerb, {
        run: (_broker, given, actor) => this.#trace(given, actor),
        merge: (parts, missing, { limit }) => mergedFeed(parts, missing, { piecesMax: limit, bytesMax }),
      }),
    )
  }

  /** Nobody looks any more. */
  stop(): void {
    const missing = { node: this.#context.broker.verbs.node, why: 'it stops' }
    for (const { feed } of [...this.#tails, ...this.#traces]) {
      feed.push({ missing }, 100)
      feed.end()
    }
  }

  #tail({ filter, for: ms, limit, payload }: OptionsOf<typeof tailVerb.takes>, actor: Actor): Feed {
    if (!isTopicFilter(filter) || parseShare(filter) !== null)
      throw new OperatorError('ERR_ARGUMENTS', `tail: ${filter} is no topic filter; + and # stand alone between slashes`)
    this.#mayLook(payload, actor)
    if (!this.#tapsMessages) {
      this.#tapsMessages = true
      this.#context.hooks.onRoute.tap(tap, message => {
        // What another node has sent shows there.
        if (message.origin === 'peer') return
        for (const tail of this.#tails) if (matches(tail.filter, message.topic)) show(tail, message)
      })
    }
    const feed = this.#feed(ms, limit, () => this.#tails.delete(tail))
    const tail: Tail = { filter, payload, feed }
    this.#tails.add(tail)
    return feed
  }

  #trace({ id, user, address, topic, for: ms, limit, payload }: OptionsOf<typeof traceVerb.takes>, actor: Actor): Feed {
    if (id === null && user === null && address === null)
      throw new OperatorError('ERR_ARGUMENTS', 'trace: say whom: ID, --user or --address')
    if (topic !== null && !isTopicFilter(topic)) throw new OperatorError('ERR_ARGUMENTS', `trace: ${topic} is no topic filter`)
    const isFrom = address === null ? null : addressTest(address)
    this.#mayLook(payload, actor)
    this.#tapPackets()
    const feed = this.#feed(ms, limit, () => this.#forget(trace))
    const isWanted = (client: Client): boolean =>
      (id === null || client.clientId === id) && (user === null || client.username === user) && isFrom?.(client.remoteAddress) !== false
    const trace: Trace = { isWanted, topic, payload, feed, ids: new Set() }
    this.#traces.add(trace)
    // So that the CONNECT of one that is not there yet is seen, too.
    if (id !== null) this.#include(trace, id)
    for (const client of this.#context.broker.clients) {
      if (client.state !== 'connected' || !isWanted(client)) continue
      this.#include(trace, client.clientId)
      this.#open(trace, client)
    }
    return feed
  }

  #mayLook(payload: boolean, { role }: Actor): void {
    if (payload && !this.#payloads)
      throw new OperatorError('ERR_ARGUMENTS', 'payload: payloads are shown only where the config says admin.payloads: true')
    if (payload && role !== 'admin') throw new OperatorError('ERR_OPERATE_REFUSED', 'payload: payloads are shown to the role admin only')
    if (this.#tails.size + this.#traces.size >= feedsMax)
      throw new OperatorError('ERR_OPERATE_REFUSED', `${feedsMax} tails and traces are open; end one first`)
  }

  #feed(ms: number, piecesMax: number, gone: () => void): Feed {
    const timer = this.#context.clock.after(ms, () => feed.end())
    const feed: Feed = new Feed({ piecesMax, bytesMax }, () => {
      timer.cancel()
      gone()
    })
    return feed
  }

  #tapPackets(): void {
    if (this.#tapsPackets) return
    this.#tapsPackets = true
    const { hooks } = this.#context
    hooks.onPacketReceived.tap(tap, (client, packet) => this.#packet('in', client, packet))
    hooks.onPacketSent.tap(tap, (client, packet) => this.#packet('out', client, packet))
    hooks.onConnected.tap(tap, client => {
      for (const trace of this.#traces) {
        if (!trace.isWanted(client) || trace.ids.has(client.clientId)) continue
        this.#include(trace, client.clientId)
        this.#open(trace, client)
      }
    })
    hooks.onDisconnect.tap(tap, ({ clientId: id }, { by, code, message: reason }) => {
      for (const { ids, topic, feed } of this.#traces)
        if (topic === null && ids.has(id)) feed.push({ at: this.#now(), id, way: 'end', by, code, reason }, 200)
    })
  }

  /** What is known of a client whose CONNECT was not seen. */
  #open({ feed, topic }: Trace, { clientId: id, version, username: user, session }: Client): void {
    if (topic !== null) return
    const all = session?.subscriptions ?? new Map<string, Subscription>()
    const subscriptions = [...all.values()].slice(0, subscriptionsMax).map(({ filter, requested, qos, noLocal, retainAsPublished }) => ({
      filter: requested ?? filter,
      qos,
      noLocal,
      retainAsPublished,
    }))
    const expirySeconds = session === null || session.expiryMs === Number.POSITIVE_INFINITY ? null : session.expiryMs / 1000
    feed.push({ at: this.#now(), id, way: 'open', version, user, expirySeconds, subscriptions }, 200 + subscriptions.length * 100)
  }

  #now(): number {
    return Math.round(this.#context.clock.now())
  }

  #packet(way: 'in' | 'out', client: Client, packet: Readonly<Packet>): void {
    for (const { ids, topic, payload, feed } of this.#traces) {
      if (!ids.has(client.clientId) || (topic !== null && !isAbout(packet, topic))) continue
      const { clientId: id, ...line } = packetLine(client, packet) as { clientId: string }
      const bytes = payload ? payloadOf(packet) : null
      const item = { at: this.#now(), id, way, ...line, ...(bytes === null ? {} : { payload: payloadLine(bytes) }) }
      feed.push(item, 300 + (bytes?.length ?? 0))
    }
  }

  #include({ ids }: Trace, id: string): void {
    if (ids.has(id) || ids.size >= clientsMax) return
    ids.add(id)
    const before = this.#traced.get(id) ?? 0
    this.#traced.set(id, before + 1)
    if (before === 0) this.#context.broker.trace(id)
  }

  #forget(trace: Trace): void {
    this.#traces.delete(trace)
    for (const id of trace.ids) {
      const left = (this.#traced.get(id) ?? 1) - 1
      if (left > 0) this.#traced.set(id, left)
      else {
        this.#traced.delete(id)
        this.#context.broker.trace(id, false)
      }
    }
  }
}

// That of a message, or of a will.
function payloadOf(packet: Readonly<Packet>): Buffer | null {
  if ('payload' in packet) return packet.payload
  return 'will' in packet ? (packet.will?.payload ?? null) : null
}

function show({ feed, payload }: Tail, message: Message): void {
  const { receivedAt, topic, qos, retain, payloadLength: bytes, clientId: from } = message
  const item = {
    at: Math.round(receivedAt),
    topic,
    qos,
    retain,
    bytes,
    from,
    ...(payload ? { payload: payloadLine(message.payload) } : {}),
  }
  feed.push(item, 200 + topic.length + (payload ? bytes : 0))
}

/** Whether a packet has to do with topics that match a filter. */
function isAbout(packet: Readonly<Packet>, filter: string): boolean {
  return 'topic' in packet && typeof packet.topic === 'string' && matches(filter, packet.topic)
}
