import type { Log } from '../../../core/log.ts'
import { definePlugin } from '../../../core/plugin.ts'
import { partOf } from '../../../plugins/kit/text-hash.ts'
import { LocalWays } from '../../../plugins/local-bus/local-ways.ts'
import { Sequencer } from '../../../plugins/local-bus/sequencer.ts'
import type { Config } from '../../../presets/index.ts'
import { catalogue } from '../../../presets/index.ts'
import { resolveConfig } from '../../../presets/shell/config.ts'
import type { ResolvedConfig } from '../../../presets/shell/resolved-config.ts'
import { RunningBroker, type StartOptions } from '../../../presets/shell/running-broker.ts'
import { configOfWorker } from '../../../presets/shell/workers/config-of-worker.ts'
import type { Chance } from './chance.ts'
import { SimDisk } from './disk.ts'
import { LocalNetwork } from './local-sockets.ts'
import { type Receiver, SimConnection } from './network.ts'
import { type MachineClocks, NodeClock } from './node-clock.ts'
import type { Party, World } from './world.ts'

/** How a node dies. `kill`: the process alone; `power`: the machine with it. */
export type CrashKind = 'kill' | 'power'

/** One run of a node, from its start until it dies or stops. */
class Run implements Party {
  readonly name: string
  isGone = false
  frozenUntil = 0
  frozenSince = 0
  running: RunningBroker | null = null

  constructor(name: string) {
    this.name = name
  }
}

/** What is told of a node. */
export interface NodeEvents {
  /** It serves from now on. */
  serves(node: SimNode): void
  /** It has died, or has begun to stop. */
  ends(node: SimNode, how: CrashKind | 'stop'): void
  /** Something is wrong that no fault of the world explains. */
  wrong(text: string): void
}

// A worker that ends by itself is there again after so long.
const replacedMs = 500

const drawDrift = (chance: Chance): number => (chance.next() - 0.5) * 4e-4

/** The workers of one broker: their machine, the sockets between them, and their supervisor, which lives as long as the world. */
export class SimTeam {
  readonly name = 'team'
  readonly count: number
  readonly machine: MachineClocks
  readonly network: LocalNetwork
  readonly #world: World
  readonly #folder = '/simulated'

  constructor(world: World, count: number) {
    this.#world = world
    this.count = count
    const chance = world.chance.fork('team')
    this.machine = { name: 'team', drift: drawDrift(chance), wallAhead: 0, startedAt: 0, starts: 1, sharesClock: true }
    this.network = new LocalNetwork(world, chance)
  }

  /** Starts the supervisor's part: what puts all that workers tell all of them into one order. */
  async start(): Promise<void> {
    const run = new Run('supervisor')
    const nothing = (): void => {}
    const clock = new NodeClock(this.#world, run, this.machine, this.#world.chance.fork('supervisor'), nothing)
    await new Sequencer(clock, new LocalWays(this.network.of(run, nothing))).listen(this.#folder)
  }

  /** What a worker is told by the supervisor. */
  placeOf(number: number, replace: () => void): NonNullable<StartOptions['worker']> {
    const nothing = (): undefined => undefined
    return {
      place: { number, count: this.count },
      supervisor: {
        ticketKeys: Buffer.alloc(48),
        folder: this.#folder,
        sharing: 'roundRobin',
        isFirst: number === 1,
        whenOpen: Promise.resolve(),
        waits: nothing,
        left: nothing,
        portOf: nothing,
        opened: nothing,
        replace,
      },
    }
  }

  /** The number of the worker that keeps what belongs to a client id: docs/scaling.md says that a hash decides. */
  homeOf(clientId: string): number {
    return partOf(clientId, this.count) - 1
  }
}

/** A machine with a broker on it, which dies and is started again. */
export class SimNode {
  readonly name: string
  readonly disk: SimDisk
  readonly machine: MachineClocks
  readonly #world: World
  readonly #chance: Chance
  readonly #events: NodeEvents
  readonly #team: SimTeam | null
  readonly #number: number
  readonly #connections = new Set<SimConnection>()
  #run: Run | null = null
  #resolved: ResolvedConfig | null = null
  /** What it has wanted of the world so far. */
  interactions = 0
  #crashAt = Number.POSITIVE_INFINITY
  #crashKind: CrashKind = 'kill'
  #downMs = 0
  #isWanted = true

  /** `team`: the node is one of several that are one broker. */
  constructor(world: World, name: string, events: NodeEvents, team: SimTeam | null = null, number = 1) {
    this.#world = world
    this.name = name
    this.#chance = world.chance.fork(`node ${name}`)
    this.#events = events
    this.#team = team
    this.#number = number
    this.disk = new SimDisk(world, world.chance.fork(`disk ${name}`))
    this.machine = team?.machine ?? {
      name,
      drift: drawDrift(this.#chance),
      wallAhead: 0,
      startedAt: 0,
      starts: 1,
      sharesClock: false,
    }
  }

  /** Reads the config, once, outside of the world's time. */
  async prepare(config: Config): Promise<void> {
    const plug = definePlugin({
      name: 'simulated',
      provides: ['rowStores', 'log', 'localSockets'],
      apply: context => {
        if (this.#team !== null) context.services.provide('localSockets', this.#team.network.of(this.#run!, this.#touch), 'simulated')
        context.services.provide('log', this.#log(), 'simulated')
        context.services.provide('rowStores', this.disk.stores(this.#run!, this.#touch), 'simulated')
      },
    })
    const { plugins = [], ...rest } = config
    const team = this.#team
    const own = team === null ? { brokerId: this.name } : { brokerId: team.name, workers: team.count }
    const all = await resolveConfig(catalogue, { object: { ...own, ...rest, plugins: [plug(), ...plugins] } })
    const resolved = team === null ? all : configOfWorker(all, { number: this.#number, count: team.count })
    // What is read from files is read now: the world has none. What stands below others comes before them.
    const order = [...resolved.plugins].sort((a, b) => Number(b.name === 'simulated') - Number(a.name === 'simulated'))
    const created = await Promise.all(order.map(plugin => plugin.create()))
    this.#resolved = { ...resolved, plugins: order.map((plugin, i) => ({ ...plugin, create: async () => created[i]! })) }
  }

  /** Starts it, if it does not run. */
  start(): void {
    if (this.#run !== null) return
    const run = new Run(this.name)
    this.#run = run
    this.#world.note(`${this.name} starts`)
    const clock = new NodeClock(this.#world, run, this.machine, this.#chance.fork(`run ${this.#world.now}`), this.#touch)
    const worker = this.#team === null ? {} : { worker: this.#team.placeOf(this.#number, () => this.crash('kill', replacedMs)) }
    RunningBroker.start(catalogue, this.#resolved!, { clock, ...worker }).then(
      running => {
        if (run.isGone) return
        run.running = running
        running.hooks.onError.tap('simulated', error => this.#looksWrong(error))
        running.hooks.onDrop.tap('simulated', (clientId, { topic, payload }, reason) =>
          this.#world.remark(`${this.name} drops ${payload.toString('latin1', 0, 12)} on ${topic} for ${clientId}: ${reason}`),
        )
        this.#world.note(`${this.name} serves`)
        this.#events.serves(this)
      },
      error => {
        if (run.isGone) return
        this.#events.wrong(`${this.name} does not start: ${(error as Error).stack}`)
      },
    )
  }

  get running(): RunningBroker | null {
    return this.#run?.running ?? null
  }

  get isServing(): boolean {
    return this.#run?.running != null
  }

  /** Dies at the n-th thing from now on that it wants of the world, and is started again. */
  crashAfter(interactions: number, kind: CrashKind, downMs: number): void {
    this.#crashAt = this.interactions + interactions
    this.#crashKind = kind
    this.#downMs = downMs
  }

  /** What was to happen to it does not happen any more. */
  spare(): void {
    this.#crashAt = Number.POSITIVE_INFINITY
    this.disk.fault = null
  }

  /** Stops in good order, and is started again. */
  stop(downMs: number): void {
    const run = this.#run
    if (run?.running == null) return
    this.#world.note(`${this.name} stops`)
    this.#events.ends(this, 'stop')
    const { running } = run
    run.running = null
    running.stop().then(() => {
      if (run.isGone) return
      run.isGone = true
      this.#lost(run)
      this.#run = null
      this.#again(downMs)
    })
  }

  /** Stands still for so long; returns from when until when it does, null: it does not run. */
  freeze(ms: number): { readonly from: number; readonly until: number } | null {
    const run = this.#run
    if (run === null) return null
    const { now } = this.#world
    if (run.frozenUntil < now) run.frozenSince = now
    run.frozenUntil = now + ms
    return { from: run.frozenSince, until: run.frozenUntil }
  }

  /** Connects a client; `false`: nobody listens. */
  connect(client: Receiver, name: string): SimConnection | null {
    const run = this.#run
    if (run?.running == null) return null
    const connection = new SimConnection(this.#world, this.#chance.fork(`${name} ${this.#world.now}`), run, this.#touch, client, name)
    this.#connections.add(connection)
    this.#world.after(this.#chance.latency(10), run, `accept ${name}`, () => {
      const events = run.running === null ? null : run.running.accept(connection)
      if (events !== null) connection.listen(events)
      else connection.nodeDied(1)
    })
    return connection
  }

  readonly #touch = (): void => {
    this.interactions += 1
    if (this.interactions >= this.#crashAt) this.crash(this.#crashKind, this.#downMs)
  }

  crash(kind: CrashKind, downMs: number): void {
    this.#crashAt = Number.POSITIVE_INFINITY
    const run = this.#run
    if (run === null) return
    this.#world.note(`${this.name} dies (${kind})`)
    run.isGone = true
    this.#run = null
    this.disk.crashed()
    this.#events.ends(this, kind)
    this.#lost(run)
    // Of workers the process alone dies: their machine is the others', too.
    if (kind === 'power' && this.#team === null) {
      this.machine.starts += 1
      this.machine.startedAt = this.#world.now
    }
    this.#again(downMs)
  }

  #again(downMs: number): void {
    if (!this.#isWanted) return
    this.#world.after(downMs, null, `start ${this.name}`, () => this.start())
  }

  /** It is not started again any more. */
  retire(): void {
    this.#isWanted = false
  }

  #lost(run: Run): void {
    this.#team?.network.died(run)
    for (const connection of this.#connections) connection.nodeDied(this.#chance.latency(2000))
    this.#connections.clear()
  }

  #looksWrong(error: unknown): void {
    const { name, cause } = error as { name?: string; cause?: { name?: string } }
    const programming = ['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError', 'DataCloneError']
    if (programming.includes(name ?? '') || programming.includes(cause?.name ?? ''))
      this.#events.wrong(`${this.name}: ${(error as Error).stack} ${(cause as Error | undefined)?.stack ?? ''}`)
  }

  #log(): Log {
    const say =
      (level: string) =>
      (first: string | object, second?: string): void => {
        if (level === 'info' && this.#world.lines === null) return
        const text =
          typeof first === 'string'
            ? first
            : `${second} ${JSON.stringify(first, (_, value) => (value instanceof Error ? value.message : value))}`
        if (level === 'info') return this.#world.remark(`${this.name} ${text}`)
        this.#world.note(`${this.name} ${level}: ${text}`)
        const err = typeof first === 'object' ? (first as { err?: unknown }).err : undefined
        if (err !== undefined) this.#looksWrong(err)
      }
    const nothing = (): void => {}
    return {
      trace: nothing,
      debug: nothing,
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      isLevelEnabled: level => level !== 'trace' && level !== 'debug',
    }
  }
}
