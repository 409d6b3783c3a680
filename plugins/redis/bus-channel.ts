import { type Cluster, Redis } from 'ioredis'
import { createClient, type Options, renew } from './client-options.ts'
import type { SlotWriters } from './slot-writers.ts'

// What may be on its way to other nodes without being kept anywhere; more is lost, and counted.
const subscribeAgainMs = 1000
const pendingBytesMax = 32 * 1024 * 1024

/** What a node is told by a channel. */
export interface ChannelEvents {
  told(frame: Buffer): void
  /** From now on, or again, this node hears what it is told. */
  listening(): void
}

/** What nodes tell one another by Redis' pub/sub: each listens to a channel under its name, and nothing is kept for whoever does not. */
export class BusChannel {
  readonly #options: Options
  readonly #writers: SlotWriters
  readonly #node: string
  readonly #events: ChannelEvents
  #client: Redis | Cluster | null = null
  #listensAsBefore = false
  #pending: [channel: string, frame: Buffer][] = []
  #pendingBytes = 0
  /** Frames that did not get away. */
  lost = 0

  constructor(options: Options, writers: SlotWriters, node: string, events: ChannelEvents) {
    this.#options = options
    this.#writers = writers
    this.#node = node
    this.#events = events
  }

  listen(): void {
    const client = createClient(this.#options)
    this.#client = client
    client.on('error', () => {})
    client.on('messageBuffer', (_channel: Buffer, frame: Buffer) => this.#events.told(frame))
    // The first time too: clients may have connected, and others written to their sessions, before anybody listened.
    client.on('ready', () => this.#subscribe(client))
    client.connect().catch(() => {})
  }

  // A refusal may be taken back, and the connection stay.
  #subscribe(client: Redis | Cluster): void {
    client.subscribe(...this.#own()).then(
      () => this.#events.listening(),
      () => {
        setTimeout(() => client === this.#client && client.status === 'ready' && this.#subscribe(client), subscribeAgainMs).unref()
      },
    )
  }

  stop(): void {
    this.#client?.disconnect()
  }

  /** A connection that only listens would not notice that the other end is gone. */
  tryConnection(): void {
    const client = this.#client
    if (client instanceof Redis && client.status === 'ready') client.ping().catch(() => renew(client))
  }

  /** To one node, this one too; resolves when Redis has it. */
  async tellNow(node: string, frame: Buffer): Promise<void> {
    const { link, keys } = this.#writers
    if (!link.ready) throw new Error('away')
    const [reply] = await link.send(keys.log, [['publish', this.#channelOf(node), frame]], false)
    if (reply instanceof Error) throw reply
  }

  /** To one node, together with all that is told in this turn of the event loop. */
  tell(node: string, frame: Buffer): void {
    if (this.#pendingBytes > pendingBytesMax) {
      this.lost += 1
      return
    }
    if (this.#pending.length === 0) setImmediate(() => this.#flush())
    this.#pending.push([this.#channelOf(node), frame])
    this.#pendingBytes += frame.length
  }

  /** Nodes of version 0.2.0 are there: this one hears what they tell it, too, until it ends. */
  listenAsBefore(): void {
    if (this.#listensAsBefore) return
    this.#listensAsBefore = true
    if (this.#client?.status === 'ready') this.#client.subscribe(...this.#own()).catch(() => {})
  }

  #own(): string[] {
    const { keys } = this.#writers
    return [...new Set([keys.channelPrefix(false), ...(this.#listensAsBefore ? [keys.channelPrefix(true)] : [])])].map(
      prefix => `${prefix}${this.#node}`,
    )
  }

  #channelOf(node: string): string {
    const { keys, oldChannels } = this.#writers
    return `${keys.channelPrefix(oldChannels && node !== this.#node)}${node}`
  }

  #flush(): void {
    const frames = this.#pending
    this.#pending = []
    const { link, keys } = this.#writers
    const bytes = frames.reduce((sum, [, frame]) => sum + frame.length, 0)
    if (!link.ready) {
      this.lost += frames.length
      this.#pendingBytes -= bytes
      return
    }
    void link
      .send(
        keys.log,
        frames.map(([channel, frame]) => ['publish', channel, frame] as const),
        false,
      )
      .then(replies => {
        this.#pendingBytes -= bytes
        for (const reply of replies) if (reply instanceof Error) this.lost += 1
      })
  }
}
