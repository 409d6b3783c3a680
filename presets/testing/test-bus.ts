import { randomUUID } from 'node:crypto'
import { OperatorError } from '../../core/errors.ts'
import { definePlugin, type Plugin } from '../../core/plugin.ts'
import { StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Bus, BusEvents, BusTerms, Node } from '../../plugins/kit/services/bus.ts'

type Tell = (events: BusEvents) => void

// So much may wait for one node; more is refused.
const inboxMax = 10_000

/** A bus in memory: test brokers that are given the same one are one broker. `createTestBroker(config, { bus })`. */
export class TestBus {
  /** The nodes that are one, by name, in the order in which they came. @internal */
  readonly members = new Map<string, TestBusNode>()
  /** @internal */
  readonly tables = new Map<string, Map<string, Buffer>>()
  /** @internal */
  readonly agreed = new Map<string, string>()
  readonly #all = new Map<string, TestBusNode>()
  #made = 0

  /**
   * Cuts a node (its `brokerId`) off from the others, until `false`: it hears nothing, what it announces waits, what it sends is lost. When as much time as `cluster.expiry` says
   * has been moved on, the others take it for dead.
   */
  cut(node: string | number, isCut = true): void {
    const found = this.#all.get(String(node))
    if (found === undefined) throw new Error(`cut: no broker ${JSON.stringify(node)} is on this bus`)
    found.cut(isCut)
  }

  /** The plugin that makes a broker one of its nodes. @internal */
  plugin(): Plugin {
    return definePlugin({
      name: 'testBus',
      provides: ['bus'],
      apply: ({ services, broker, clock }) => {
        const node = this.node(String(broker.settings.brokerId), clock)
        services.provide('bus', node, 'testBus')
        return { stop: () => node.stop() }
      },
    })()
  }

  /** @internal */
  node(name: string, clock: Clock): TestBusNode {
    const node = new TestBusNode(this, name, clock)
    this.#all.set(name, node)
    return node
  }

  /** A name for a broker that has none of its own. @internal */
  nextName(): string {
    this.#made += 1
    return `node-${this.#made}`
  }

  /** Everybody hears it, in this order. @internal */
  tellAll(tell: Tell): void {
    for (const member of [...this.members.values()]) member.hear(tell)
  }

  /** @internal */
  table({ name, boot }: Node, table: string): Map<string, Buffer> {
    const key = JSON.stringify([name, boot, table])
    let rows = this.tables.get(key)
    if (rows === undefined) this.tables.set(key, (rows = new Map()))
    return rows
  }

  /** A node has gone; of one that has died `heir` sees to what it leaves. @internal */
  remove(gone: TestBusNode, heir: TestBusNode | null): void {
    const { self } = gone
    if (self === null || this.members.get(gone.node) !== gone) return
    this.members.delete(gone.node)
    this.tellAll(events => events.left(self, heir !== null))
    const clear = (): void => {
      const of = JSON.stringify([self.name, self.boot]).slice(0, -1)
      for (const key of [...this.tables.keys()]) if (key.startsWith(of)) this.tables.delete(key)
    }
    if (heir === null) clear()
    else heir.hear(events => void Promise.resolve(events.inherited(self)).finally(clear))
  }
}

/** One node of it. @internal */
export class TestBusNode implements Bus {
  readonly node: string
  self: Node | null = null
  readonly #bus: TestBus
  readonly #clock: Clock
  #lastSign = 0
  #events: BusEvents | null = null
  #terms: BusTerms | null = null
  #early: Tell[] = []
  // What the others did while this node was cut off.
  #meanwhile: Tell[] = []
  // What this node wanted to do then.
  #held: (() => void)[] = []
  #inbox: { readonly from: string; readonly frame: Buffer; readonly told: boolean }[] = []
  #running = false
  #isBusy = false
  #isCut = false
  #beat: Timer | undefined

  constructor(bus: TestBus, node: string, clock: Clock) {
    this.#bus = bus
    this.node = node
    this.#clock = clock
  }

  get connected(): boolean {
    return !this.#isCut && this.self !== null && this.#bus.members.get(this.node) === this
  }

  async open(events: BusEvents, terms: BusTerms): Promise<void> {
    this.#events = events
    this.#terms = terms
    const namesake = this.#bus.members.get(this.node)
    // Whoever stopped without a word gives no sign any more.
    if (namesake !== undefined && namesake.#beat !== undefined)
      throw new OperatorError('ERR_NODE_TWICE', `brokerId: a node named ${this.node} is alive; name this one otherwise`)
    if (namesake !== undefined) this.#bus.remove(namesake, this)
    this.#join()
    this.#beat = this.#clock.every(terms.heartbeatMs, () => this.#sign())
  }

  #join(): void {
    this.self = { name: this.node, boot: randomUUID(), facts: this.#terms!.facts() }
    this.#lastSign = this.#clock.now()
    for (const { self } of this.#bus.members.values()) this.hear(events => events.joined(self!))
    const { self } = this
    this.#bus.tellAll(events => events.joined(self))
    this.#bus.members.set(this.node, this)
  }

  #sign(): void {
    if (this.#isCut) return
    if (this.#bus.members.get(this.node) !== this) return this.#comeBack()
    this.#lastSign = this.#clock.now()
    for (const member of [...this.#bus.members.values()])
      if (this.#lastSign - member.#lastSign > this.#terms!.expiryMs) this.#bus.remove(member, this)
  }

  /** The others took it for dead. */
  #comeBack(): void {
    this.#inbox = []
    this.#join()
    this.hear(events => events.expelled())
    this.hear(events => void events.missed())
  }

  cut(isCut: boolean): void {
    if (this.#isCut === isCut) return
    this.#isCut = isCut
    if (isCut || this.#events === null) return
    const meanwhile = this.#meanwhile.splice(0)
    if (this.#bus.members.get(this.node) !== this) this.#comeBack()
    else {
      this.#lastSign = this.#clock.now()
      this.hear(events => events.interrupted())
      for (const tell of meanwhile) this.hear(tell)
    }
    for (const act of this.#held.splice(0)) act()
    void this.#handOver()
  }

  run(): void {
    this.#running = true
    for (const tell of this.#early.splice(0)) tell(this.#events!)
    void this.#handOver()
  }

  hear(tell: Tell): void {
    if (this.#isCut) this.#meanwhile.push(tell)
    else if (this.#running) tell(this.#events!)
    else this.#early.push(tell)
  }

  nodes(): readonly Node[] {
    return [...this.#bus.members.values()].map(member => ({ ...member.self!, facts: member.#terms!.facts() }))
  }

  async announce(record: unknown): Promise<void> {
    const text = JSON.stringify(record)
    await this.#connection()
    this.#bus.tellAll(events => events.announced(this.node, JSON.parse(text)))
  }

  /** Resolves when it is not cut off. */
  #connection(): Promise<void> | undefined {
    return this.#isCut ? new Promise(resolve => this.#held.push(resolve)) : undefined
  }

  tell(node: string, frame: Buffer): void {
    if (this.#isCut) return
    const to = this.#bus.members.get(node)
    // May be lost where too much waits.
    if (to !== undefined && to.#inbox.length < inboxMax) to.#take(this.node, Buffer.from(frame), true)
  }

  async post(node: string, frame: Buffer): Promise<void> {
    const copy = Buffer.from(frame)
    await this.#connection()
    const to = this.#bus.members.get(node)
    if (to === undefined) return
    if (to.#inbox.length >= inboxMax) throw new StoreFullError(`node ${node} does not keep up`)
    to.#take(this.node, copy, false)
  }

  #take(from: string, frame: Buffer, told: boolean): void {
    if (this.#isCut && told) return
    this.#inbox.push({ from, frame, told })
    setImmediate(() => void this.#handOver())
  }

  /** While the broker has enough to do, the next one waits. */
  async #handOver(): Promise<void> {
    if (this.#isBusy || !this.#running) return
    this.#isBusy = true
    while (!this.#isCut) {
      const next = this.#inbox.shift()
      if (next === undefined) break
      await this.#events!.received(next.from, next.frame, next.told)
    }
    this.#isBusy = false
  }

  async setRow(table: string, key: string, value: Buffer | null): Promise<void> {
    await this.#connection()
    const rows = this.#bus.table(this.self!, table)
    if (value === null) rows.delete(key)
    else rows.set(key, Buffer.from(value))
  }

  async *rows(node: Node, table: string): AsyncIterable<readonly [key: string, value: Buffer]> {
    yield* [...this.#bus.table(node, table)]
  }

  async agree(name: string, value: string): Promise<string> {
    const { agreed } = this.#bus
    if (!agreed.has(name)) agreed.set(name, value)
    return agreed.get(name)!
  }

  async takeRow(node: Node, table: string, key: string): Promise<boolean> {
    return this.#bus.table(node, table).delete(key)
  }

  /** `crash`: without a word, as `kill -9` would. */
  stop(crash = false): void {
    this.#beat?.cancel()
    this.#beat = undefined
    this.#running = false
    if (!crash && !this.#isCut) this.#bus.remove(this, null)
    for (const act of this.#held.splice(0)) act()
  }
}
