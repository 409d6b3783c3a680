import type { Config } from '../../presets/index.ts'
import { builtIn } from '../../presets/index.ts'
import { SimClient } from './client.ts'
import { Model } from './model.ts'
import { type Action, isFault, type Plan, watcherId } from './plan.ts'
import { SimNode, SimTeam } from './world/node.ts'
import { World } from './world/world.ts'

/** What a run showed. */
export interface Outcome {
  /** What must not be. Empty: all is well. */
  readonly violations: readonly string[]
  /** Stands for everything that happened, in its order. */
  readonly hash: string
  readonly operations: number
  readonly faults: number
  readonly events: number
  /** Milliseconds of the world. */
  readonly worldMs: number
  /** The trace in words, where it was asked for. */
  readonly lines: readonly string[]
}

// Longer than any delay of a will, keep-alive and stall together.
const settleMs = 75_000
const observeMs = 6_000
const boundsMs = 1000
const settleMoreMs = 120_000
// Who publishes to a session whose queue is nearly full is slowed for ten seconds.
const unansweredMs = 30_000
// Nobody is sent away at rest.
const stableMs = 20_000

/** Runs a plan to its end, in as little real time as it takes. The same plan gives the same run. */
export async function simulate(plan: Plan, keepsLines = false): Promise<Outcome> {
  const run = new Simulation(plan, keepsLines)
  const unhandled = (error: unknown): void => run.model.wrong(`a rejection that nobody looks at: ${(error as Error)?.stack ?? error}`)
  process.on('unhandledRejection', unhandled)
  try {
    return await run.toItsEnd()
  } finally {
    process.off('unhandledRejection', unhandled)
  }
}

/** Every other client may have nothing to do with `s/#`. */
const isBarred = (client: string): boolean => /^c\d*[13579]$/.test(client)

class Simulation {
  readonly #plan: Plan
  readonly world: World
  readonly model: Model
  readonly #team: SimTeam | null
  readonly #nodes: SimNode[]
  readonly #clients = new Map<string, SimClient>()
  #operations = 0
  #faults = 0

  constructor(plan: Plan, keepsLines: boolean) {
    this.#plan = plan
    this.world = new World(`world ${plan.seed}`, keepsLines)
    const queueMax = Number(plan.mqtt.queueMessagesMax ?? Number.POSITIVE_INFINITY)
    const keeperOf = (client: string): string | null => (plan.store === 'disk' ? null : `n${(this.#team?.homeOf(client) ?? 0) + 1}`)
    this.model = new Model(this.world, { keeperOf, nodes: plan.nodes, queueMax, isBarred })
    const events = {
      serves: (node: SimNode) => this.model.nodeServes(node.name),
      ends: (node: SimNode, how: string) => this.model.nodeEnded(node.name, how),
      wrong: (text: string) => this.model.wrong(text),
    }
    this.#team = plan.nodes > 1 ? new SimTeam(this.world, plan.nodes) : null
    this.#nodes = Array.from({ length: plan.nodes }, (_, i) => new SimNode(this.world, `n${i + 1}`, events, this.#team, i + 1))
    const allowed = Number(plan.mqtt.receiveMaximum ?? 65_535)
    for (const terms of plan.clients) this.#clients.set(terms.id, new SimClient(this.world, this.model, terms, this.#nodes[0]!, allowed))
  }

  async toItsEnd(): Promise<Outcome> {
    const { world, model } = this
    const { ends, actions } = this.#plan
    for (const node of this.#nodes) await node.prepare(this.#config())
    await this.#team?.start()
    for (const node of this.#nodes) node.start()
    const watcher = this.#clients.get(watcherId)!
    watcher.connect(this.#nodes[0]!, false, null)
    watcher.subscribe([{ filter: 'w/#', qos: 2 }])
    for (const action of actions) world.at(action.at, null, `act ${action.do}`, () => this.#act(action))
    this.#watchBounds()
    const failed = (): boolean => model.violations.length > 0
    await world.run(ends, failed)
    if (!failed()) await this.#rest(failed)
    const { violations } = model
    world.note(violations.length === 0 ? 'all is well' : violations.join('\n'))
    return {
      violations,
      hash: world.hash(),
      operations: this.#operations,
      faults: this.#faults,
      events: world.events,
      worldMs: world.now,
      lines: world.lines ?? [],
    }
  }

  /** No queue holds more than it may, with a connection or without. */
  #watchBounds(): void {
    const max = Number(this.#plan.mqtt.queueMessagesMax ?? Number.POSITIVE_INFINITY)
    if (max === Number.POSITIVE_INFINITY) return
    const look = (count: number, id: string): void => {
      if (count > max) this.model.wrong(`${count} messages wait for ${id}, ${max} may`)
    }
    for (const node of this.#nodes) {
      const { running } = node
      if (running === null) continue
      const store = running.broker.services.find('sessions')
      for (const id of this.#clients.keys()) {
        const entries = store?.peek?.(id, 0, max + 10)
        if (entries instanceof Promise)
          entries.then(
            found => look(found?.length ?? 0, id),
            () => {},
          )
        else look(entries?.length ?? 0, id)
      }
    }
    this.world.after(boundsMs, null, 'bounds', () => this.#watchBounds())
  }

  /** Faults end, everybody comes back, and what must hold then is looked at. */
  async #rest(failed: () => boolean): Promise<void> {
    const { world, model } = this
    world.note('faults are over')
    for (const node of this.#nodes) node.spare()
    for (const client of this.#clients.values()) if (!client.isWanted) client.connect(this.#nodes[0]!, false, null)
    await world.run(world.now + settleMs, failed)
    // Publishers that are slowed for the sake of short queues take their time.
    const isQuiet = (): boolean => [...this.#clients.values()].every(client => client.isOn && client.unanswered(0).length === 0)
    for (let more = 0; more < settleMoreMs && !failed() && !isQuiet(); more += observeMs) await world.run(world.now + observeMs, failed)
    if (failed()) return
    const isBounded = this.#plan.mqtt.queueMessagesMax !== undefined
    for (const client of this.#clients.values()) {
      const unanswered = client.unanswered(unansweredMs)
      if (!client.isOn) model.wrong(`${client.terms.id} does not get in`)
      else if (!isBounded && world.now - client.connectedSince < stableMs) model.wrong(`${client.terms.id} does not stay connected`)
      else if (unanswered.length > 0) model.wrong(`${client.terms.id} has no answer to ${unanswered.join(', ')}`)
    }
    this.#lookInside(isQuiet())
    const since = world.now
    const observers = this.#nodes.map((node, i) => {
      const terms = { id: `o${i}`, version: 5, durable: false, expiryMs: 0, keepAlive: 0, receiveMaximum: 0 } as const
      const observer = new SimClient(world, model, terms, node)
      observer.connect(node, true, null)
      observer.subscribe([{ filter: 'r/#', qos: 2 }])
      return observer
    })
    await world.run(world.now + observeMs, failed)
    if (failed()) return
    const retained = observers.map((observer, i) => {
      const heard = observer.life?.heard ?? []
      return [`n${i + 1}`, new Map(heard.filter(one => one.retain).map(one => [one.topic, one.id]))] as const
    })
    model.check(new Map(retained), since, watcherId)
  }

  /** The little that is looked at in the brokers: who is connected, and what waits for whom. */
  #lookInside(isQuiet: boolean): void {
    const { model } = this
    const seen = new Map<string, string>()
    for (const node of this.#nodes) {
      if (node.running === null) {
        model.wrong(`${node.name} does not serve`)
        continue
      }
      for (const { clientId, state, queued, inFlight } of node.running.broker.clients) {
        if (state !== 'connected') continue
        const other = seen.get(clientId)
        if (other !== undefined) model.wrong(`${clientId} is connected to ${other} and to ${node.name}`)
        seen.set(clientId, node.name)
        // What waits at another node is counted exactly only when all of it is read.
        if (isQuiet && ((queued > 0 && this.#team === null) || inFlight > 0))
          model.wrong(`${clientId} reads and acknowledges, and ${queued} messages wait for it, ${inFlight} are in flight`)
      }
    }
  }

  #config(): Config {
    const { store, mqtt } = this.#plan
    const clientIds = this.#plan.clients.map(({ id }) => id).filter(isBarred)
    const rules = [
      ...(clientIds.length > 0 ? [{ deny: 'all', topics: ['s/#'], clientIds } as const] : []),
      { allow: 'all', topics: ['#'] } as const,
    ]
    const stores = store === 'memory' ? [builtIn.memory()] : [builtIn.disk({ path: '/simulated' })]
    return {
      preset: () => [...stores, builtIn.retain(), builtIn.shareTopic(), builtIn.topicSecurity({ rules })],
      allowAnonymous: true,
      mqtt: mqtt as never,
    }
  }

  #act(action: Action): void {
    const { world } = this
    if (isFault(action)) this.#faults += 1
    else this.#operations += 1
    world.note(`act ${JSON.stringify(action)}`)
    if ('who' in action) this.#actOf(this.#clients.get(action.who), action)
    else this.#happensTo(this.#nodes[action.node % this.#nodes.length]!, action)
  }

  #actOf(client: SimClient | undefined, action: Extract<Action, { who: string }>): void {
    if (client === undefined) return
    const node = (i: number): SimNode => this.#nodes[i % this.#nodes.length]!
    switch (action.do) {
      case 'connect':
        return client.connect(node(action.node), action.clean, action.will)
      case 'steal':
        return client.steal(node(action.node))
      case 'publish':
        return client.publish(action)
      case 'subscribe':
        return client.subscribe(action.asks)
      case 'unsubscribe':
        return client.unsubscribe(action.filters)
      case 'leave':
        return client.leave(action.withWill)
      case 'drop':
        return client.drop()
      case 'break':
        this.model.troubled(action.who)
        return client.break()
      case 'vanish':
        return client.vanish(action.ms)
      case 'hold':
        return client.hold(action.ms)
      case 'pause':
        this.model.troubled(action.who)
        return client.pause(action.ms)
      case 'stall':
        this.model.troubled(action.who)
        return client.stall(action.ms, action.way)
      case 'misbehave':
        this.model.troubled(action.who)
        return client.misbehave(action.kind)
    }
  }

  #happensTo(node: SimNode, action: Extract<Action, { node: number; do: 'crash' | 'stop' | 'freeze' | 'clock' | 'disk' }>): void {
    switch (action.do) {
      case 'crash':
        return node.crashAfter(action.after, action.kind, action.down)
      case 'stop':
        return node.stop(action.down)
      case 'freeze': {
        const frozen = node.freeze(action.ms)
        if (frozen !== null) this.model.nodeFroze(node.name, frozen.from, frozen.until)
        return
      }
      case 'clock':
        this.model.clockSet()
        node.machine.wallAhead += action.ms
        return
      case 'disk':
        this.model.storeFails(action.ms)
        node.disk.fault = { kind: action.kind, code: action.code, until: this.world.now + action.ms }
    }
  }
}
