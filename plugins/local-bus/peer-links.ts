import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { LocalTransport, OpenSocket } from '../kit/services/local-sockets.ts'
import { FrameLink } from './frames.ts'
import type { LocalWays } from './local-ways.ts'

/** What lies in a frame between workers. */
export const Kind = {
  /** The first frame of a connection: who speaks. */
  Hello: 0,
  Told: 1,
  Posted: 2,
  /** What parts of stores ask of one another. */
  Store: 3,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** One run of a worker. */
export interface PeerRun {
  readonly name: string
  readonly boot: string
}

/** Takes a frame, whose bytes may be used again when the call is over; resolves when it may have the next one of that connection. */
type Take = (from: PeerRun, kind: Kind, bytes: Buffer) => void | Promise<void>

/** Connections between workers by Unix sockets: one from each to each for messages, and one for stores, so that neither waits for the other. */
export class PeerLinks {
  readonly #folder: string
  readonly #name: string
  readonly #take: Take
  readonly #outgoing = new Map<string, FrameLink>()
  readonly #incoming = new Set<FrameLink>()
  readonly #ways: LocalWays
  #boot = ''
  #handles = false
  #server: OpenSocket | null = null

  constructor(ways: LocalWays, folder: string, name: string, take: Take) {
    this.#ways = ways
    this.#folder = folder
    this.#name = name
    this.#take = take
  }

  /** Opens this worker's socket; `boot` names it. `handles`: connections go by Node's own handles. */
  async listen(boot: string, handles: boolean): Promise<void> {
    this.#boot = boot
    this.#handles = handles
    this.#server = await this.#ways.listen(join(this.#folder, boot), end => this.#accept(end))
  }

  #accept(end: Socket | LocalTransport): void {
    let from: PeerRun = { name: '', boot: '' }
    // What the sender has yet to say stays with it where a frame takes time, and its publishers wait.
    const link: FrameLink = new FrameLink(end, {
      handles: this.#handles,
      take: (kind, bytes) => {
        if (kind !== Kind.Hello) return this.#take(from, kind as Kind, bytes)
        from = JSON.parse(bytes.toString()) as PeerRun
      },
      closed: () => this.#incoming.delete(link),
    })
    this.#incoming.add(link)
  }

  /** The way to a worker, for messages or for stores. */
  to(boot: string, forStores: boolean): FrameLink {
    const key = forStores ? `${boot} stores` : boot
    let link = this.#outgoing.get(key)
    if (link === undefined) {
      // Nobody answers this way.
      link = new FrameLink(this.#ways.connect(join(this.#folder, boot)), { handles: this.#handles, take: () => {} })
      link.write(Kind.Hello, Buffer.from(JSON.stringify({ name: this.#name, boot: this.#boot } satisfies PeerRun)))
      this.#outgoing.set(key, link)
    }
    return link
  }

  /** A worker has gone. */
  left(boot: string): void {
    for (const key of [boot, `${boot} stores`]) {
      this.#outgoing.get(key)?.destroy()
      this.#outgoing.delete(key)
    }
  }

  /** `farewell`: what is written goes out yet. */
  stop(farewell: boolean): void {
    this.#server?.close()
    for (const link of this.#outgoing.values()) {
      if (farewell) link.end()
      else link.destroy()
    }
    for (const link of this.#incoming) link.destroy()
  }
}
