// Why it is long: the verbs of the bus and the life of a node in it.
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { StoreAwayError, StoreFullError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Bus, BusEvents, BusTerms, Node } from '../kit/services/bus.ts'
import { Barrier } from './barrier.ts'
import { BusChannel } from './bus-channel.ts'
import { barrierFrame, messageFrame, readFrame, versionOf, wakeFrame } from './bus-frames.ts'
import { BusLogWriter } from './bus-log-writer.ts'
import { busVersion, canRead } from './bus-version.ts'
import type { Options } from './client-options.ts'
import { Members, nodeOf } from './members.ts'
import { NodeTables, tableLifeMs } from './node-tables.ts'
import { post } from './operations/post.ts'
import type { RedisRetained } from './retained.ts'
import { logField } from './script/layout.ts'
import type { RedisSessions } from './sessions.ts'
import type { SlotWriters } from './slot-writers.ts'
import type { RedisState } from './state.ts'
import { bounds, type StreamEntry, StreamReader } from './stream-reader.ts'

// Posts that a node has not read yet. One that lags further behind keeps its publishers' acknowledgements back.
const inboxMax = 100_000
// Nodes of another version that are named in the log.
const refusedMax = 100
// Clients do not wait longer for a node that cannot be told anything yet.
const listeningMs = 2000

/**
 * The `bus` service on Redis. What all nodes have to see in one order goes into one stream, the log: what the store's own scripts note of
 * sessions, and what nodes announce. What one node is posted lies in a stream of its own until it has read it; what it is told goes by a channel.
 *
 * Over 400 lines, because joining, hearing and leaving share one state; what writes and what reads lies in files of its own (bus-*.ts, stream-reader.ts).
 */
export class RedisBus implements Bus {
  readonly node: string
  readonly #writers: SlotWriters
  readonly #sessions: RedisSessions
  /** Null: another plugin keeps the retained messages. */
  readonly #retained: RedisRetained | null
  /** Null: another plugin keeps the state. */
  readonly #state: RedisState | null
  readonly #options: Options
  readonly #clock: Clock
  readonly #log: Log
  #events: BusEvents | null = null
  #terms: BusTerms | null = null
  #members: Members | null = null
  #reader: StreamReader | null = null
  readonly #barrier: Barrier
  #inbox: StreamReader | null = null
  readonly #channel: BusChannel
  // Nodes that speak another version, each said once.
  readonly #refused = new Set<string>()
  /** Those that the log has said are there. */
  readonly #peers = new Map<string, Node>()
  readonly #logWriter: BusLogWriter
  #timer: Timer | null = null
  #keeping: Timer | null = null
  #signing = false
  #joined = false
  #joining: Promise<void> | null = null
  #running = false
  #onListening: () => void = () => {}
  #stopped = false
  #dead: Node | null = null
  readonly #tables: NodeTables
  /** The log's end when this node joined. */
  #start = '0-0'

  get clockShift(): number {
    return this.#writers.time.shift
  }

  constructor(
    writers: SlotWriters,
    sessions: RedisSessions,
    retained: RedisRetained | null,
    state: RedisState | null,
    options: Options,
    clock: Clock,
    log: Log,
    node: string,
  ) {
    this.#writers = writers
    this.#sessions = sessions
    this.#retained = retained
    this.#state = state
    this.#options = options
    this.#clock = clock
    this.#log = log
    this.#tables = new NodeTables(writers, sessions.writes, node)
    this.#logWriter = new BusLogWriter(sessions.writes, node, () => this.#members!.boot)
    this.#barrier = new Barrier(clock, number => this.#channel.tellNow(node, barrierFrame(busVersion, number)))
    this.#channel = new BusChannel(options, writers, node, {
      told: frame => void this.#guard(() => this.#received(frame, true)),
      listening: () => {
        this.#onListening()
        this.#interrupted()
      },
    })
    this.node = node
  }

  /** Messages told to other nodes that did not get away. */
  get lost(): number {
    return this.#channel.lost
  }

  get connected(): boolean {
    return this.#joined && this.#writers.link.up && this.#reader?.connected === true
  }

  /** A cluster is asked for. */
  get opened(): boolean {
    return this.#events !== null
  }

  nodes(): readonly Node[] {
    // Once it runs, the log says it before the next sign of life does.
    if (this.#reader === null) return this.#members?.nodes ?? []
    // What they say of themselves stands in the last sign of life of each.
    const signs = new Map(this.#members!.nodes.map(node => [node.name, node]))
    const others = [...this.#peers.values()].map(peer => {
      const sign = signs.get(peer.name)
      return sign?.boot === peer.boot ? sign : peer
    })
    return [{ name: this.node, boot: this.#members!.boot, facts: this.#terms!.facts() }, ...others]
  }

  async open(events: BusEvents, terms: BusTerms): Promise<void> {
    this.#events = events
    this.#terms = terms
    const { heartbeatMs, expiryMs, facts } = terms
    this.#members = new Members(this.#writers, this.#clock, this.node, { heartbeatMs, expiryMs }, facts)
    this.#members.onRefused = (name, refusal) => this.#refuse(name, `${refusal}; until then this node hears nothing of what it says`)
    this.#writers.node = this.node
    this.#writers.onSaid = (kind, values) => this.#said(kind, values)
    if (this.#retained !== null)
      this.#retained.onTopic = (topic, isThere) => this.#logWriter.append('r', JSON.stringify([[topic, isThere ? 1 : 0]]))
    if (this.#state !== null) this.#state.onChanged = () => this.#logWriter.append('k', '')
    if (this.#writers.link.ready) await this.join()
  }

  /** Joins, now that Redis is there. */
  join(): Promise<void> {
    if (this.#joined || this.#events === null || this.#stopped) return Promise.resolve()
    this.#joining ??= this.#join().finally(() => {
      this.#joining = null
    })
    return this.#joining
  }

  async #join(): Promise<void> {
    const members = this.#members!
    const { link, keys } = this.#writers
    const { last } = await bounds(async ([name, ...parts]) => {
      const [reply] = await link.send(keys.log, [[name, ...parts]], false)
      if (reply instanceof Error) throw reply
      return reply
    }, keys.log)
    this.#start = last
    try {
      this.#dead = await members.join()
    } catch (error) {
      if (error instanceof OperatorError) throw error
      throw new StoreAwayError(`this node could not join its cluster: ${(error as Error).message}`)
    }
    this.#joined = true
    this.#speak()
    this.#sessions.catchUp = () => this.#barrier.pass()
    this.#timer ??= this.#clock.every(this.#terms!.heartbeatMs, () => void this.#beat())
    this.#keeping ??= this.#clock.every(tableLifeMs / 24, () => this.#tables.keep(this.#members!))
    if (this.#running) this.#begin()
  }

  // As all nodes understand it.
  #speak(): void {
    const { version, haveOldChannels } = this.#members!
    this.#writers.busVersion = version
    this.#writers.oldChannels = haveOldChannels
    if (haveOldChannels) this.#channel.listenAsBefore()
  }

  async run(): Promise<void> {
    this.#running = true
    if (!this.#joined) return
    this.#begin()
    if (!this.#writers.link.up) return
    await new Promise<void>(resolve => {
      const late = this.#clock.after(listeningMs, resolve)
      this.#onListening = () => {
        late.cancel()
        resolve()
      }
    })
  }

  #begin(): void {
    if (this.#reader !== null) return
    this.#openInbox()
    for (const node of this.#members!.nodes) this.#arrived(node)
    if (this.#dead !== null) this.#inherit(this.#dead)
    this.#dead = null
    this.#reader = new StreamReader(this.#clock, this.#options, this.#writers.keys.log, false, {
      entries: entries => {
        for (const entry of entries) this.#guard(() => this.#logged(entry))
      },
      missed: () => void this.#missed(),
      resumed: () => this.#events!.interrupted(),
    })
    this.#reader.start(this.#start)
    this.#channel.listen()
  }

  #openInbox(): void {
    this.#inbox?.stop()
    this.#inbox = new StreamReader(this.#clock, this.#options, this.#writers.keys.inbox(this.node, this.#members!.boot), true, {
      entries: async entries => {
        for (const entry of entries) {
          const rest = this.#guard(() => this.#received(entry.get('d')!, false))
          if (rest !== undefined) await rest
        }
      },
      missed: () => this.#log.warn('what other nodes posted to this one was lost by a fail-over of Redis; see redis.waitReplicas'),
      resumed: () => {},
    })
    this.#inbox.start('0-0')
  }

  // Whoever listens must not end the reading.
  #guard<T>(run: () => T): T | undefined {
    try {
      return run()
    } catch (error) {
      this.#log.error({ err: error as Error }, `the bus: ${(error as Error).message}`)
      return undefined
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#timer?.cancel()
    this.#keeping?.cancel()
    this.#reader?.stop()
    this.#inbox?.stop()
    this.#channel.stop()
    this.#barrier.stop()
    if (!this.#joined || !this.#writers.link.up) return
    await this.#members!.leave().catch(() => {})
    await this.#tables.clear({ name: this.node, boot: this.#members!.boot }).catch(() => {})
  }

  async #beat(): Promise<void> {
    const { link } = this.#writers
    if (this.#signing || !this.#joined || this.#stopped) return
    this.#signing = true
    const began = this.#clock.now()
    try {
      if (!link.ready) throw new Error('away')
      if (!(await this.#members!.sign())) return void (await this.#expelled())
      this.#speak()
      // After a while without answers nobody knows who has been silent, and who was not heard.
      if (this.#clock.now() - began > this.#terms!.heartbeatMs) this.#members!.forgive()
      else await this.#members!.removeDead()
      this.#sessions.sweeps = this.#members!.isFirst
      if (this.#sessions.sweeps && this.#running && this.#reader?.connected === true) {
        const living = new Set(this.#members!.nodes.map(({ name }) => name))
        await this.#sessions.stored.parkOrphans(node => living.has(node))
      }
    } catch {
      this.#members!.forgive()
    } finally {
      this.#signing = false
    }
    this.#channel.tryConnection()
  }

  async #expelled(): Promise<void> {
    if (this.#stopped) return
    // Where it is gone because the database was emptied, sessions are written again before anybody is sent away.
    await this.#writers.recheck()
    this.#log.warn(`the other nodes took this one (${this.node}) for dead, because it gave no sign of life for too long; it joins again`)
    await this.#members!.join()
    this.#openInbox()
    this.#events!.expelled()
    await this.#missed()
  }

  #logged(entry: StreamEntry): void {
    const from = entry.get(logField.node)!.toString()
    const said = entry.get(logField.said)!.toString()
    if (!canRead(Number(entry.get(logField.version)?.toString() ?? 0))) return this.#unreadable(from)
    switch (entry.get(logField.kind)!.toString()) {
      case 's':
        return this.#sessions.stored.noted(from, said)
      case 'r': {
        if (from === this.node) return
        for (const [topic, isThere] of JSON.parse(said) as [string, number][]) this.#retained?.noted(topic, isThere === 1)
        return
      }
      case 'k':
        if (from !== this.node) this.#state?.noted()
        return
      case 'b': {
        const { b, r } = JSON.parse(said) as { b: string; r: unknown[] }
        if (from !== this.node && this.#peers.get(from)?.boot !== b) return
        for (const record of r) this.#events!.announced(from, record)
        return
      }
      case 'j':
        this.#members!.joined(from, said)
        this.#speak()
        return this.#arrived(nodeOf(from, said))
      case 'x': {
        const { b, by } = JSON.parse(said) as { b: string; by: string }
        const gone = this.#peers.get(from) ?? { name: from, boot: b, facts: {} }
        if (from !== this.node && gone.boot === b) {
          this.#peers.delete(from)
          this.#events!.left(gone, by !== b)
        }
        if (by === this.#members!.boot && from !== this.node) this.#inherit({ ...gone, boot: b })
      }
    }
  }

  #arrived(node: Node): void {
    if (node.name === this.node) return
    const before = this.#peers.get(node.name)
    if (before?.boot === node.boot) return
    if (before !== undefined) this.#events!.left(before)
    this.#peers.set(node.name, node)
    this.#events!.joined(node)
  }

  #inherit(node: Node): void {
    Promise.resolve(this.#events!.inherited(node))
      .then(() => this.#tables.clear(node))
      .catch(error => this.#log.error({ err: error as Error }, `what node ${node.name} has left could not be dealt with`))
  }

  async #missed(): Promise<void> {
    this.#log.warn('the log of the cluster has gone on without this node, which reads all sessions and routes anew')
    const living = new Map(this.#members!.nodes.map(node => [node.name, node]))
    for (const [name, node] of this.#peers) {
      if (living.get(name)?.boot === node.boot) continue
      this.#peers.delete(name)
      this.#events!.left(node)
    }
    for (const node of living.values()) this.#arrived(node)
    try {
      await Promise.all([this.#retained?.reload(), this.#state?.look(), this.#events!.missed()])
    } catch (error) {
      this.#log.warn({ err: error as Error }, 'that was interrupted; it is tried again')
      this.#clock.after(this.#terms!.heartbeatMs, () => void this.#missed())
    }
    this.#interrupted()
  }

  #interrupted(): void {
    this.#sessions.woken(null)
    this.#barrier.interrupted()
    this.#events!.interrupted()
  }

  #received(bytes: Buffer, told: boolean): void | Promise<void> {
    const version = versionOf(bytes)
    if (version === null || !canRead(version)) return this.#unreadable(null)
    const frame = readFrame(bytes)
    if (frame.kind === 'wake') this.#sessions.woken(frame.sessionKeys)
    else if (frame.kind === 'barrier') this.#barrier.arrived(frame.number)
    else return this.#events!.received(frame.from, frame.payload, told)
  }

  // Nothing that such a node says is heard, so that nothing is misunderstood.
  #unreadable(from: string | null): void {
    const name = from === null ? 'a node' : `node ${from}`
    this.#refuse(
      from ?? '',
      `${name} speaks another version of the bus than this node, or none as mqttx-broker 0.1.0 did; stop it, and start it as this version`,
    )
  }

  // Once a run of this node for each name: such a node goes on talking.
  #refuse(name: string, why: string): void {
    if (this.#refused.has(name) || this.#refused.size >= refusedMax) return
    this.#refused.add(name)
    this.#log.error(`cluster: ${why}`)
  }

  announce(record: unknown): Promise<void> {
    return this.#logWriter.announce(record)
  }

  // Only where a script cannot reach these itself.
  #said(kind: string, values: readonly unknown[]): void {
    if (kind === 'notes') {
      this.#logWriter.append('s', String(values[0])).catch(() => {})
    } else if (kind === 'wake') {
      this.#channel.tell(String(values[0]), wakeFrame(this.#writers.busVersion, String(values[1])))
    }
  }

  tell(node: string, frame: Buffer): void {
    this.#channel.tell(node, messageFrame(this.#writers.busVersion, this.node, frame))
  }

  post(node: string, frame: Buffer): Promise<void> {
    const peer = this.#peers.get(node)
    // It has gone, and those with it for whom this was.
    if (peer === undefined) return Promise.resolve()
    const key = this.#writers.keys.inbox(node, peer.boot)
    const wrapped = messageFrame(this.#writers.busVersion, this.node, frame)
    return this.#sessions.writes.write(
      key,
      out => post.write(out, { key, max: inboxMax, frame: wrapped }),
      rows => {
        if (rows?.[0]?.kind === 'full') throw new StoreFullError(`node ${node} does not keep up: its inbox holds ${inboxMax} batches`)
      },
      { bytes: wrapped.length + 200, refusable: true },
    )
  }

  setRow(table: string, key: string, value: Buffer | null): Promise<void> {
    return this.#tables.set(this.#members!, table, key, value)
  }

  rows(node: Node, table: string): AsyncIterable<readonly [key: string, value: Buffer]> {
    return this.#tables.rows(node, table)
  }

  takeRow(node: Node, table: string, key: string): Promise<boolean> {
    return this.#tables.deleteRow(node, table, key)
  }

  async agree(name: string, value: string): Promise<string> {
    const { link, keys } = this.#writers
    const key = keys.agreed(name)
    const [, held] = await link.send(
      key,
      [
        ['set', key, value, 'NX'],
        ['get', key],
      ],
      false,
    )
    if (held instanceof Error) throw held
    return String(held)
  }
}
