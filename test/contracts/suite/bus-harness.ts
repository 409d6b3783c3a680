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
  /** Called behind each test, when all its nodes are gone. */
  dispose?(): void | Promise<void>
}

/** How the suite's nodes live, in milliseconds: what is dead is found out within a few times `expiryMs`. */
export const terms = { heartbeatMs: 50, expiryMs: 500 } as const
const patienceMs = 30_000

/** One node, and all that its bus has told. */
export interface TestNode {
  readonly bus: Bus
  /** In order: `announced NAME RECORD`, `received NAME TEXT`, `joined NAME`, `left NAME`, `inherited NAME`, `expelled`, `missed`. */
  readonly told: string[]
  readonly frames: Buffer[]
  /** Of each node that has left, whether it died; `undefined`: the bus cannot tell. */
  readonly deaths: Map<string, boolean | undefined>
  /** Called for each node that this one inherits, before it is done with it. */
  onInherited: (node: Node) => Promise<void>
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
    const node: TestNode = { bus, told: [], frames: [], deaths: new Map(), onInherited: async () => {} }
    const { told } = node
    const events: BusEvents = {
      announced: (from, record) => void told.push(`announced ${from} ${JSON.stringify(record)}`),
      received: (from, frame) => {
        told.push(`received ${from} ${frame.length > 100 ? frame.length : frame.toString()}`)
        // What is handed over may be gone when the call is.
        node.frames.push(Buffer.from(frame))
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
      interrupted: () => {},
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
