import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PacketType } from '../../core/protocol/constants.ts'
import type { PublishPacket } from '../../core/protocol/packets.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { RedisServer } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { FaultBroker } from './fault-broker.ts'

export const answerTroubles = ['none', 'freeze', 'cut', 'away'] as const
/** What goes wrong in each round: nothing; a broker is frozen; one is cut off from Redis (packets vanish); Redis is away. */
export type AnswerTrouble = (typeof answerTroubles)[number]

export interface AnswerOptions {
  readonly nodes: number
  readonly rounds: number
  readonly random: () => number
  readonly trouble: AnswerTrouble
  /** An answer that takes longer than it may is wrong. */
  readonly timed: boolean
}

export interface AnswerOutcome {
  readonly answers: number
  readonly wrong: string[]
  /** Milliseconds that the slowest CONNACK, SUBACK or UNSUBACK took. */
  readonly slowestMs: number
}

const confirmTimeoutMs = 1000
// What the machine itself may add to an answer that waits as long as it may.
const slackMs = 500
const patienceMs = 10_000

const kinds = [
  { durable: false, version: 4 },
  { durable: false, version: 5 },
  { durable: true, version: 4 },
  { durable: true, version: 5 },
] as const
type Kind = (typeof kinds)[number]

/** Rounds of what an answer of one node promises for all: what is published after SUBACK arrives, what comes after UNSUBACK does not, and a client that comes again elsewhere is online. */
export async function answerRounds(program: string, options: AnswerOptions): Promise<AnswerOutcome> {
  const run = new AnswerRun(program, options)
  try {
    await run.start()
    for (let round = 0; round < options.rounds; round++) await run.round(round)
    return run.outcome
  } finally {
    await run.stop()
  }
}

class AnswerRun {
  readonly #program: string
  readonly #options: AnswerOptions
  readonly #folder = mkdtempSync(join(tmpdir(), 'mqttx-answers-'))
  readonly #nodes: FaultBroker[] = []
  readonly #lines: TcpProxy[] = []
  #redis!: RedisServer
  /** One at each node, to publish. */
  readonly #writers: TestClient[] = []
  readonly #sockets = new Set<Socket>()
  readonly #looked = new WeakMap<TestClient, number>()
  readonly outcome = { answers: 0, wrong: [] as string[], slowestMs: 0 }

  constructor(program: string, options: AnswerOptions) {
    this.#program = program
    this.#options = options
  }

  async start(): Promise<void> {
    this.#redis = await RedisServer.start()
    for (let i = 0; i < this.#options.nodes; i++) {
      const line = await TcpProxy.start(this.#redis.port)
      this.#lines.push(line)
      const sets = [
        `brokerId=n${i}`,
        `redis.url=redis://127.0.0.1:${line.port}`,
        'redis.commandTimeout=1000',
        'cluster.enable=true',
        'cluster.heartbeat=200',
        // Longer than any trouble here: what happens to a node that counts as dead is shown elsewhere.
        'cluster.expiry=60000',
        `cluster.confirmTimeout=${confirmTimeoutMs}`,
      ]
      this.#nodes.push(await FaultBroker.start(this.#program, this.#folder, ['--preset', 'dev', ...sets.flatMap(set => ['--set', set])]))
      this.#writers.push(await this.#connect(i, { version: 5, clientId: `writer-${i}` }))
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#nodes.map(node => node.kill()))
    await Promise.all(this.#lines.map(line => line.stop()))
    await this.#redis?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async round(round: number): Promise<void> {
    const { random, trouble } = this.#options
    const kind = kinds[round % kinds.length]!
    const home = this.#pick()
    const away = this.#other(home)
    if (trouble === 'away') return this.#withoutRedis(round, home)
    const known = await this.#connect(home, { ...sessionOf(kind), clientId: `reader-${round}` })
    const taken = await this.#takenOver(round, kind, away)
    const mends = trouble === 'none' ? undefined : await this.#trouble(away)
    // What is published at the node in trouble before it is in step again, and what waits there unread.
    const topics = [`sub/${round}/x`, `wild/${round}/x`, `shared/${round}/x`]
    const filters = [topics[0]!, `wild/${round}/+`, `$share/g/shared/${round}/#`]
    await this.#timed('SUBACK', () => known.subscribe(filters, 1))
    const early = trouble === 'freeze' ? this.#publishAt(away, topics) : null
    const online = await this.#takeOver(round, kind, home, taken.options)
    if (mends !== undefined) {
      if (random() < 0.5) await pause(random() * 500)
      mends()
    }
    await early
    if (trouble === 'cut') await this.#isBack(away, known, topics[0]!)
    for (let i = 0; i < this.#writers.length; i++) await this.#publishAt(i, topics)
    const copies = (this.#writers.length + (early === null ? 0 : 1)) * topics.length
    await this.#arrives(`round ${round}: ${name(kind)} at n${home}`, known, topics, copies)
    await online()
    await this.#timed('UNSUBACK', () => known.unsubscribe(...filters))
    for (let i = 0; i < this.#writers.length; i++) await this.#publishAt(i, topics)
    await known.subscribe('end', 1)
    await this.#publishAt(away, ['end'])
    const after = await this.#until(known, 'end', topics)
    if (after.length > 0) this.outcome.wrong.push(`round ${round}: ${name(kind)}, after UNSUBACK came ${after.join(', ')}`)
    known.disconnect()
  }

  #pick(): number {
    return Math.floor(this.#options.random() * this.#nodes.length)
  }

  #other(than: number): number {
    return (than + 1 + Math.floor(this.#options.random() * (this.#nodes.length - 1))) % this.#nodes.length
  }

  async #trouble(node: number): Promise<() => void> {
    if (this.#options.trouble === 'freeze') {
      this.#nodes[node]!.freeze()
      return () => this.#nodes[node]!.thaw()
    }
    this.#lines[node]!.cut('silent')
    return () => this.#lines[node]!.heal()
  }

  /** A client whose will is retained, connected to a node. */
  async #takenOver(round: number, kind: Kind, node: number): Promise<{ options: ConnectOptions }> {
    const topic = `state/${round}`
    const will = { topic, payload: Buffer.from('offline'), qos: 1 as const, retain: true }
    const options = { ...sessionOf(kind), clientId: `x-${round}`, will }
    const client = await this.#connect(node, options)
    await client.publish(topic, 'online 0', { qos: 1, retain: true })
    return { options }
  }

  /** It comes again, at another node, with CONNECT and PUBLISH in one write. Returns what looks at the end. */
  async #takeOver(round: number, kind: Kind, node: number, options: ConnectOptions): Promise<() => Promise<void>> {
    const topic = `state/${round}`
    const listeners = this.#options.trouble === 'none' ? await Promise.all(this.#nodes.map((_node, i) => this.#listen(i, topic))) : []
    const client = this.#open(node, kind.version)
    await this.#timed('CONNACK', async () => {
      client.stream.cork()
      client.sendConnect(options)
      client.sendPublish(topic, 'online 1', { qos: 1, retain: true })
      client.stream.uncork()
      await client.next(PacketType.Connack)
    })
    await client.next(PacketType.Puback)
    return async () => {
      for (const [i, listener] of listeners.entries()) {
        const heard = await this.#until(listener, 'online 1')
        const live = heard.filter(text => text !== 'online 0')
        if (live.join() !== 'offline') this.outcome.wrong.push(`round ${round}: ${name(kind)}, at n${i} was heard ${live.join()}, online 1`)
        listener.disconnect()
      }
      for (let i = 0; i < this.#nodes.length; i++) {
        const late = await this.#connect(i, { version: 5 })
        await late.subscribe(topic)
        const state = String((await this.#message(late))?.payload)
        if (state !== 'online 1') this.outcome.wrong.push(`round ${round}: ${name(kind)}, retained at n${i}: ${state}`)
        late.disconnect()
      }
      client.disconnect()
    }
  }

  async #listen(node: number, topic: string): Promise<TestClient> {
    const listener = await this.#connect(node, { version: 5 })
    await listener.subscribe(topic, 1)
    return listener
  }

  async #withoutRedis(round: number, node: number): Promise<void> {
    await this.#redis.kill()
    const client = await this.#connect(node, { version: kinds[round % 2]!.version })
    await this.#timed('SUBACK', () => client.subscribe(`alone/${round}`))
    this.#writers[node]!.sendPublish(`alone/${round}`, 'alone')
    if (String((await this.#message(client))?.payload) !== 'alone')
      this.outcome.wrong.push(`round ${round}: nothing came at n${node}, alone`)
    await this.#redis.start()
    // It is all announced when Redis is back.
    for (const [i, writer] of this.#writers.entries()) {
      const until = performance.now() + patienceMs
      let came = false
      while (!came && performance.now() < until) {
        writer.sendPublish(`alone/${round}`, `from ${i}`)
        came = (await this.#message(client, 50)) !== null
      }
      if (!came) this.outcome.wrong.push(`round ${round}: n${i} does not know what n${node} announced`)
    }
    await this.#timed('UNSUBACK', () => client.unsubscribe(`alone/${round}`))
    client.disconnect()
  }

  async #publishAt(node: number, topics: readonly string[]): Promise<void> {
    const writer = this.#writers[node]!
    for (const topic of topics) writer.sendPublish(topic, topic, { qos: 1 })
    for (const _ of topics) await writer.next(PacketType.Puback)
  }

  /** A node that was cut off serves alone until it has noticed that it is not any more: from when its messages arrive, all must. */
  async #isBack(node: number, reader: TestClient, topic: string): Promise<void> {
    const until = performance.now() + patienceMs
    for (let i = 0; performance.now() < until; i++) {
      this.#writers[node]!.sendPublish(topic, `probe ${i}`, { qos: 1 })
      await this.#writers[node]!.next(PacketType.Puback)
      const packet = await this.#message(reader, 100)
      if (packet !== null) return
    }
    this.outcome.wrong.push(`n${node} is not back`)
  }

  async #arrives(what: string, reader: TestClient, topics: readonly string[], count: number): Promise<void> {
    const got: string[] = []
    while (got.length < count) {
      const packet = await this.#message(reader)
      if (packet === null) {
        this.outcome.wrong.push(`${what}: ${count - got.length} of ${count} acknowledged messages did not come; ${got.join(', ')}`)
        return
      }
      if (topics.includes(String(packet.payload))) got.push(packet.topic)
    }
  }

  /** What comes before the message with this payload, of some topics where they are named. */
  async #until(client: TestClient, last: string, topics?: readonly string[]): Promise<string[]> {
    const before: string[] = []
    for (;;) {
      const packet = await this.#message(client)
      if (packet === null) return [...before, 'nothing more']
      const payload = String(packet.payload)
      if (payload === last) return before
      if (topics === undefined || topics.includes(payload)) before.push(payload)
    }
  }

  /** The next PUBLISH that has come, before or behind what else comes; null: none came in time. */
  async #message(client: TestClient, withinMs = patienceMs): Promise<PublishPacket | null> {
    const until = performance.now() + withinMs
    for (;;) {
      const at = this.#looked.get(client) ?? 0
      const next = client.heard.findIndex((packet, i) => i >= at && packet.type === PacketType.Publish)
      if (next !== -1) {
        this.#looked.set(client, next + 1)
        const packet = client.heard[next] as PublishPacket
        if (packet.qos === 1) client.ack(PacketType.Puback, packet.packetId)
        return packet
      }
      if (performance.now() > until) return null
      await pause(1)
    }
  }

  async #timed(answer: string, ask: () => Promise<unknown>): Promise<void> {
    const began = performance.now()
    await ask()
    const took = performance.now() - began
    this.outcome.answers += 1
    if (took > this.outcome.slowestMs) this.outcome.slowestMs = took
    if (this.#options.timed && took > confirmTimeoutMs + slackMs) this.outcome.wrong.push(`${answer} took ${took.toFixed(0)} ms`)
  }

  #open(node: number, version: 4 | 5): TestClient {
    const socket = connectSocket({ port: this.#nodes[node]!.port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {})
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return new TestClient(socket, version)
  }

  async #connect(node: number, options: ConnectOptions & { version: 4 | 5 }): Promise<TestClient> {
    const client = this.#open(node, options.version)
    await this.#timed('CONNACK', () => client.connect(options))
    return client
  }
}

function sessionOf({ durable, version }: Kind) {
  return { version, cleanStart: !durable, ...(durable && version === 5 ? { properties: { sessionExpiry: 3600 } } : {}) }
}

function name({ durable, version }: Kind): string {
  return `${durable ? 'durable' : 'clean'}, MQTT ${version === 4 ? '3.1.1' : '5'}`
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}
