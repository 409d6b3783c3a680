import type { Bus, BusEvents, Node } from '../../../plugins/kit/services/bus.ts'

/** An owner of the `bus` service that is to be proven. */
export interface BusOwner {
  /** Completes "a bus …". */
  readonly name: string
  /** Makes the bus of one node. All that are made for one test are one cluster, and know nothing of other tests. The suite calls `open` and `run`. */
  create(node: string): Bus | Promise<Bus>
  /** Takes a node away in good order: the others are told. */
  stop(bus: Bus): void | Promise<void>
  /** Takes a node away as `kill -9` would, without a word. */
  crash(bus: Bus): void | Promise<void>
  /**
   * Cuts a living node off from the bus, as a cable does that is pulled, and returns what plugs it in again: then the node comes back by itself. Left out where nobody can;
   * with it, the suite asks for `interrupted` and `expelled`.
   */
  cut?(bus: Bus): (() => void | Promise<void>) | Promise<() => void | Promise<void>>
  /**
   * Called while a node is cut off: takes from the bus what was announced meanwhile, so that the node can never hear it. Left out where a bus has no such limit;
   * with it, the suite asks for `missed`.
   */
  forget?(bus: Bus): void | Promise<void>
  /** Roughly how much may wait for one node: the suite posts frames of a tenth of it. Left out where that is too much for a test; with it, the suite asks that a full inbox refuses. */
  readonly inboxBytes?: number
  /** Called behind each test, when all its nodes are gone. */
  dispose?(): void | Promise<void>
}

/** How the suite's nodes live, in milliseconds: what is dead is found out within a few times `expiryMs`. */
export const terms = { heartbeatMs: 50, expiryMs: 500 } as const
const patienceMs = 30_000

/** One node, and all that its bus has told. */
export interface TestNode {
  readonly bus: Bus
  /** In order: `announced NAME RECORD`, `received NAME TEXT`, `joined NAME`, `left NAME`, `inherited NAME`, `expelled`, `missed`, `interrupted`. */
  readonly told: string[]
  readonly frames: Buffer[]
  /** Of each node that has left, whether it died; `undefined`: the bus cannot tell. */
  readonly deaths: Map<string, boolean | undefined>
  /** Called for each node that this one inherits, before it is done with it. */
  onInherited: (node: Node) => Promise<void>
  /** What it answers to each frame that it gets. */
  onReceived: () => void | Promise<void>
}

export class BusHarness {
  readonly #owner: BusOwner
  readonly #living = new Set<Bus>()

  constructor(owner: BusOwner) {
    this.#owner = owner
  }

  /** A node that has joined; `runs` false: nothing is told yet. */
  async node(name: string, { runs = true, facts = {} }: { runs?: boolean; facts?: Node['facts'] } = {}): Promise<TestNode> {
    const bus = await this.#owner.create(name)
    this.#living.add(bus)
    const node: TestNode = { bus, told: [], frames: [], deaths: new Map(), onInherited: async () => {}, onReceived: () => {} }
    const { told } = node
    const events: BusEvents = {
      announced: (from, record) => void told.push(`announced ${from} ${JSON.stringify(record)}`),
      received: (from, frame) => {
        told.push(`received ${from} ${frame.length > 100 ? frame.length : frame.toString()}`)
        // What is handed over may be gone when the call is.
        node.frames.push(Buffer.from(frame))
        return node.onReceived()
      },
      joined: ({ name: other }) => void told.push(`joined ${other}`),
      left: ({ name: other }, died) => {
        node.deaths.set(other, died)
        told.push(`left ${other}`)
      },
      inherited: async dead => {
        told.push(`inherited ${dead.name}`)
        await node.onInherited(dead)
      },
      expelled: () => void told.push('expelled'),
      missed: () => void told.push('missed'),
      interrupted: () => void told.push('interrupted'),
    }
    await bus.open(events, { ...terms, facts: () => facts })
    if (runs) await bus.run()
    return node
  }

  /** Several that know one another. */
  async nodes(...names: string[]): Promise<TestNode[]> {
    const nodes: TestNode[] = []
    for (const name of names) nodes.push(await this.node(name))
    for (const { told, bus } of nodes) {
      for (const name of names)
        if (name !== bus.node) await this.until(() => told.includes(`joined ${name}`), `${bus.node} hears of ${name}`)
    }
    return nodes
  }

  /** Cuts it off, and returns what plugs it in again. */
  async cut({ bus }: TestNode): Promise<() => Promise<void>> {
    const plugIn = await this.#owner.cut!(bus)
    return async () => await plugIn()
  }

  /** The bus forgets what a node that is cut off has not heard. */
  async forget({ bus }: TestNode): Promise<void> {
    await this.#owner.forget!(bus)
  }

  async stop({ bus }: TestNode): Promise<void> {
    this.#living.delete(bus)
    await this.#owner.stop(bus)
  }

  async crash({ bus }: TestNode): Promise<void> {
    this.#living.delete(bus)
    await this.#owner.crash(bus)
  }

  /** Waits until it is so; `what` says in the error what was waited for. */
  async until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const end = performance.now() + patienceMs
    while (!(await isSo())) {
      if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }

  async dispose(): Promise<void> {
    for (const bus of this.#living) await this.#owner.crash(bus)
    await this.#owner.dispose?.()
  }
}
