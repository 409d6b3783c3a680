import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { FrameLink } from './frames.ts'

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

/** Takes a frame, whose bytes may be used again when the call is over; resolves when it may have the next one of that connection. */
type Take = (from: string, kind: Kind, bytes: Buffer) => void | Promise<void>

/** Connections between workers by Unix sockets: one from each to each for messages, and one for stores, so that neither waits for the other. */
export class PeerLinks {
  readonly #folder: string
  readonly #name: string
  readonly #take: Take
  readonly #outgoing = new Map<string, FrameLink>()
  readonly #incoming = new Set<FrameLink>()
  #handles = false
  #server: Server | null = null

  constructor(folder: string, name: string, take: Take) {
    this.#folder = folder
    this.#name = name
    this.#take = take
  }

  /** Opens this worker's socket; `boot` names it. `handles`: connections go by Node's own handles. */
  async listen(boot: string, handles: boolean): Promise<void> {
    this.#handles = handles
    const server = createServer(socket => this.#accept(socket))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: join(this.#folder, boot), exclusive: true }, resolve)
    })
  }

  #accept(socket: Socket): void {
    let from = ''
    // What the sender has yet to say stays with it where a frame takes time, and its publishers wait.
    const link: FrameLink = new FrameLink(socket, {
      handles: this.#handles,
      take: (kind, bytes) => {
        if (kind !== Kind.Hello) return this.#take(from, kind as Kind, bytes)
        from = bytes.toString()
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
      link = new FrameLink(connect(join(this.#folder, boot)), { handles: this.#handles, take: () => {} })
      link.write(Kind.Hello, Buffer.from(this.#name))
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
