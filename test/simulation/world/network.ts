import type { Transport, TransportEvents } from '../../../core/connection/transport.ts'
import type { Chance } from './chance.ts'
import type { Party, World } from './world.ts'

/** Who is at one end of a connection. */
export interface Receiver {
  onData(bytes: Buffer): void
  /** No more comes; `error`: the connection broke. Called once. */
  onClose(error: Error | undefined): void
}

// What a kernel takes although the other end does not read.
const kernelBytes = 65_536

// How long bytes are on their way at most, as a rule.
const latencies = [0.5, 2, 2, 5, 40]

/** One way of a connection: bytes in order, in pieces that have nothing to do with how they were written. */
export class Way {
  readonly #world: World
  readonly #chance: Chance
  readonly #name: string
  readonly #to: Party | null
  readonly #deliver: (bytes: Buffer) => void
  readonly #onEnd: () => void
  readonly #onTaken: () => void
  #pieces: Buffer[] = []
  #bytes = 0
  #ending = false
  #isScheduled = false
  #isPaused = false
  #isCut = false
  #lastAt = 0
  /** Nothing arrives before this time. */
  stalledUntil = 0
  readonly #maxLatency: number

  constructor(
    world: World,
    chance: Chance,
    name: string,
    to: Party | null,
    maxLatency: number,
    on: { deliver(bytes: Buffer): void; end(): void; taken(): void },
  ) {
    this.#world = world
    this.#chance = chance
    this.#name = name
    this.#to = to
    this.#deliver = on.deliver
    this.#onEnd = on.end
    this.#onTaken = on.taken
    this.#maxLatency = maxLatency
  }

  /** Bytes that the kernel has not taken. */
  get held(): number {
    return Math.max(0, this.#bytes - kernelBytes)
  }

  send(bytes: Buffer): void {
    if (this.#isCut || this.#ending || bytes.length === 0) return
    this.#pieces.push(bytes)
    this.#bytes += bytes.length
    this.#schedule()
  }

  /** What was sent arrives, and then the end. */
  end(): void {
    if (this.#isCut || this.#ending) return
    this.#ending = true
    this.#schedule()
  }

  /** Nothing arrives any more. */
  cut(): void {
    this.#isCut = true
    this.#pieces = []
    this.#bytes = 0
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isPaused || this.#isCut) return
    if (this.#bytes === 0 && !this.#ending) return
    this.#isScheduled = true
    const at = Math.max(this.#world.now + this.#chance.latency(this.#maxLatency), this.stalledUntil, this.#lastAt)
    this.#lastAt = at
    this.#world.at(at, this.#to, this.#name, () => this.#arrive())
  }

  #arrive(): void {
    this.#isScheduled = false
    if (this.#isCut || this.#isPaused) return
    if (this.stalledUntil > this.#world.now) return this.#schedule()
    if (this.#bytes === 0) return this.#ending ? this.#onEnd() : undefined
    const before = this.held
    const all = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces)
    const size = all.length > 1 && this.#chance.percent(12) ? this.#chance.int(1, all.length - 1) : all.length
    this.#pieces = size < all.length ? [all.subarray(size)] : []
    this.#bytes -= size
    this.#schedule()
    if (before > 0 && this.held === 0) this.#onTaken()
    // The reader may keep it: nobody else has these bytes.
    this.#deliver(all.subarray(0, size))
  }
}

/** A connection between a client and a node. */
export class SimConnection implements Transport {
  readonly protocol = 'sim'
  readonly listener = 'sim'
  readonly remotePort = 0
  readonly remoteAddress: string
  readonly #world: World
  readonly #chance: Chance
  readonly #node: Party
  readonly #touch: () => void
  readonly #client: Receiver
  readonly #up: Way
  readonly #down: Way
  #events: TransportEvents | null = null
  #nodeClosed = false
  #clientClosed = false
  #clientGone = false

  /** `touch`: called at each thing that the node wants of it. */
  constructor(world: World, chance: Chance, node: Party, touch: () => void, client: Receiver, name: string) {
    this.#world = world
    this.#chance = chance
    this.#node = node
    this.#touch = touch
    this.#client = client
    this.remoteAddress = name
    this.#up = new Way(world, chance, `${name}>${node.name}`, node, chance.pick(latencies), {
      deliver: bytes => this.#events?.onData(bytes, 0, bytes.length),
      end: () => this.#closeNode(undefined),
      taken: () => {},
    })
    this.#down = new Way(world, chance, `${name}<${node.name}`, null, chance.pick(latencies), {
      deliver: bytes => {
        if (!this.#clientClosed && !this.#clientGone) client.onData(bytes)
      },
      end: () => {
        this.#closeClient(undefined)
        // Who reads the end closes, too.
        this.#up.end()
      },
      taken: () => {
        if (!node.isGone) this.#events?.onDrain()
      },
    })
    this.#up.pause()
  }

  // ---- the node's end

  /** The node has accepted it, and reads. */
  listen(events: TransportEvents): void {
    this.#events = events
    this.#up.resume()
  }

  write(bytes: Buffer): boolean {
    this.#touch()
    if (!this.#node.isGone && !this.#nodeClosed) this.#down.send(Buffer.from(bytes))
    return true
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  get bufferedBytes(): number {
    return this.#down.held
  }

  pause(): void {
    this.#up.pause()
  }

  resume(): void {
    this.#up.resume()
  }

  end(): void {
    if (!this.#node.isGone) this.#down.end()
  }

  destroy(): void {
    if (this.#node.isGone || this.#nodeClosed) return
    // What the kernel took arrives, or does not.
    if (this.#chance.percent(50)) this.#down.cut()
    this.#breakClient()
    this.#world.after(0.01, this.#node, `closed ${this.remoteAddress}`, () => this.#closeNode(undefined))
  }

  // ---- the client's end

  sendUp(bytes: Buffer): void {
    if (!this.#clientClosed && !this.#clientGone) this.#up.send(Buffer.from(bytes))
  }

  /** The client closes in good order. */
  endUp(): void {
    this.#up.end()
    this.#clientClosed = true
  }

  /** The client's end breaks: what is under way may be lost. */
  reset(): void {
    this.#clientClosed = true
    this.#breakNode()
  }

  /** The client is gone, and nobody tells the node. */
  vanish(): void {
    this.#clientGone = true
    this.#up.cut()
    this.#down.pause()
  }

  /** The network breaks it: both ends hear of it, each at its time. */
  break(): void {
    this.#breakNode()
    this.#breakClient()
  }

  /** Nothing comes through for so long, one way or both. */
  stall(ms: number, way: 'up' | 'down' | 'both'): void {
    if (way !== 'down') this.#up.stalledUntil = this.#world.now + ms
    if (way !== 'up') this.#down.stalledUntil = this.#world.now + ms
  }

  pauseDown(): void {
    this.#down.pause()
  }

  resumeDown(): void {
    this.#down.resume()
  }

  /** The node has died: `afterMs` later the client hears of it. */
  nodeDied(afterMs: number): void {
    this.#up.cut()
    if (this.#chance.percent(50)) this.#down.cut()
    this.#world.after(afterMs, null, `lost ${this.remoteAddress}`, () => this.#closeClient(new Error('reset')))
  }

  get isClosedForClient(): boolean {
    return this.#clientClosed || this.#clientGone
  }

  #breakNode(): void {
    if (this.#chance.percent(50)) this.#up.cut()
    this.#world.after(this.#chance.latency(50), this.#node, `reset ${this.remoteAddress}`, () => {
      this.#up.cut()
      this.#closeNode(new Error('read ECONNRESET'))
    })
  }

  #breakClient(): void {
    this.#world.after(this.#chance.latency(50), null, `reset ${this.remoteAddress}`, () => {
      this.#down.cut()
      this.#closeClient(new Error('reset'))
    })
  }

  #closeNode(error: Error | undefined): void {
    if (this.#nodeClosed || this.#node.isGone) return
    this.#nodeClosed = true
    this.#up.cut()
    if (!this.#clientClosed) this.#down.end()
    this.#events?.onClose(error)
  }

  #closeClient(error: Error | undefined): void {
    if (this.#clientClosed || this.#clientGone) return
    this.#clientClosed = true
    this.#client.onClose(error)
  }
}
