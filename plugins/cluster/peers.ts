import type { Broker } from '../../core/broker.ts'
import { Router } from '../../core/routing/router.ts'
import type { Subscriber } from '../../core/routing/subscription.ts'
import type { Bus, Node } from '../kit/services/bus.ts'
import { memberOf, memberSubscription } from './route-rows.ts'
import { rowHash } from './row-hash.ts'

/** Another node, as a subscriber of what its clients have subscribed to. */
export class Peer implements Subscriber {
  readonly node: Node
  readonly online = true
  /** Its table of routes, by row. */
  readonly rows = new Map<string, string>()
  /** Of all rows. */
  hash = 0
  /** Records that came while its table was being read; null while it is not. */
  waiting: (() => void)[] | null = null

  constructor(node: Node) {
    this.node = node
  }

  get clientId(): string {
    return this.node.name
  }
}

/** What the other nodes want, as they have announced it. */
export class Peers {
  readonly #broker: Broker
  readonly #bus: Bus
  readonly #peers = new Map<string, Peer>()
  /** Which nodes want a message; a target's `identifiers` are the `Wants` of each filter that matches. */
  readonly router: Router<Peer>
  #onRead: (() => void)[] = []
  /** Tables that had to be read again because they were not as their owner said. */
  repaired = 0

  constructor(broker: Broker, bus: Bus) {
    this.#broker = broker
    this.#bus = bus
    this.router = new Router(broker.clock)
  }

  /** Rows, all nodes together. */
  get size(): number {
    let size = 0
    for (const { rows } of this.#peers.values()) size += rows.size
    return size
  }

  joined(node: Node): void {
    const peer = new Peer(node)
    this.#peers.set(node.name, peer)
    this.#read(peer)
  }

  left(node: Node): void {
    const peer = this.#peers.get(node.name)
    if (peer === undefined || peer.node.boot !== node.boot) return
    this.#peers.delete(node.name)
    for (const [key] of [...peer.rows]) this.#set(peer, key, '')
    this.#broker.nodeLeft(node.name)
  }

  /** A node announces changes of its rows. */
  changed(from: string, rows: readonly string[]): void {
    this.inOrder(from, peer => {
      for (let i = 0; i < rows.length; i += 2) this.#set(peer, rows[i]!, rows[i + 1]!)
    })
  }

  /** A node says how its table ought to look here. */
  checked(from: string, count: number, hash: number): void {
    this.inOrder(from, peer => {
      if (peer.rows.size === count && peer.hash === hash) return
      this.repaired += 1
      this.#broker.log.warn(
        { node: from, rows: peer.rows.size, wanted: count },
        'the routes of a node were not as it said; they are read anew',
      )
      this.#read(peer)
    })
  }

  /** Reads all tables anew. */
  reload(): void {
    for (const peer of this.#peers.values()) this.#read(peer)
  }

  /** Resolves when no table is being read; undefined: none is. */
  whenRead(): Promise<void> | undefined {
    if (![...this.#peers.values()].some(({ waiting }) => waiting !== null)) return undefined
    return new Promise(resolve => this.#onRead.push(resolve))
  }

  /** Runs it behind what has been heard of a node; not at all, where that is not there. */
  inOrder(from: string, run: (peer: Peer) => void): void {
    const peer = this.#peers.get(from)
    if (peer === undefined) return
    if (peer.waiting === null) run(peer)
    else peer.waiting.push(() => run(peer))
  }

  #read(peer: Peer): void {
    if (peer.waiting !== null) return
    peer.waiting = []
    void this.#readAll(peer).then(
      () => this.#goOn(peer),
      error => {
        this.#broker.log.debug({ err: error as Error, node: peer.node.name }, 'its routes could not be read')
        this.#broker.clock.after(1000, () => {
          const again = this.#peers.get(peer.node.name) === peer
          this.#goOn(peer, again)
          if (again) this.#read(peer)
        })
      },
    )
  }

  async #readAll(peer: Peer): Promise<void> {
    const found = new Map<string, string>()
    for await (const [key, value] of this.#bus.rows(peer.node, 'routes')) found.set(key, value.toString())
    if (this.#peers.get(peer.node.name) !== peer) return
    for (const [key] of [...peer.rows]) if (!found.has(key)) this.#set(peer, key, '')
    for (const [key, value] of found) this.#set(peer, key, value)
  }

  #goOn(peer: Peer, readsAgain = false): void {
    const waiting = peer.waiting ?? []
    peer.waiting = null
    if (this.#peers.get(peer.node.name) === peer) {
      let done = 0
      while (done < waiting.length && peer.waiting === null) waiting[done++]!()
      const later = peer.waiting as (() => void)[] | null
      // One of them began another reading: the rest comes behind that.
      if (later !== null) peer.waiting = waiting.slice(done).concat(later)
    }
    if (readsAgain || this.#onRead.length === 0 || [...this.#peers.values()].some(one => one.waiting !== null)) return
    for (const resolve of this.#onRead.splice(0)) resolve()
  }

  #set(peer: Peer, key: string, value: string): void {
    const before = peer.rows.get(key)
    if (before === value || (before === undefined && value === '')) return
    if (before !== undefined) peer.hash = (peer.hash ^ rowHash(key, before)) >>> 0
    if (value === '') {
      peer.rows.delete(key)
    } else {
      peer.rows.set(key, value)
      peer.hash = (peer.hash ^ rowHash(key, value)) >>> 0
    }
    const member = memberOf(key)
    if (member === null) this.#route(peer, key, value)
    else if (value === '') this.#broker.memberLeft(peer.node.name, member.clientId, member.filter)
    else this.#broker.memberJoined(peer.node.name, member.clientId, memberSubscription(member.filter, value))
  }

  #route(peer: Peer, filter: string, value: string): void {
    if (value === '') {
      this.router.unsubscribe(peer, filter)
      return
    }
    const identifier = Number(value)
    this.router.subscribe(peer, { filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier })
  }
}
