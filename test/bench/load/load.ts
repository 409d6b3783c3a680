import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { Connection, type Listener } from './connection.ts'
import * as packets from './packets.ts'
import { Publisher } from './publisher.ts'
import type { LoadResult, Workload } from './workload.ts'

// Connecting is not what most loads measure: this many at a time.
const connectingMax = 100
// Without progress for so long the run has failed.
const stallMs = 20_000

/** Runs one workload against one broker: opens its connections once, then publishes as often as it is asked. */
export class Load implements Listener {
  readonly #port: number
  readonly #workload: Workload
  readonly #connections: Connection[] = []
  readonly #publishers: Publisher[] = []
  // Every message is delivered so often.
  readonly #copies: number
  #expected = 0
  #arrived = 0
  #acked = 0
  #finished: (() => void) | null = null
  #failed: ((error: Error) => void) | null = null
  #latency: RecordableHistogram | null = null

  constructor(port: number, workload: Workload) {
    this.#port = port
    this.#workload = workload
    this.#copies =
      workload.kind === 'publish' || workload.kind === 'connect' || workload.kind === 'takeOver'
        ? 0
        : workload.kind === 'fanOut'
          ? workload.subscribers
          : 1
  }

  async open(): Promise<void> {
    const { kind, publishers, subscribers } = this.#workload
    if (kind === 'connect' || kind === 'takeOver' || kind === 'retained') return
    const subscribing = await this.#connectMany('sub', subscribers, this.#workload.subscriberPort)
    const { qos } = this.#workload
    await Promise.all(subscribing.map((connection, i) => this.#subscribe(connection, i, qos)))
    const publishing = await this.#connectMany('pub', publishers)
    for (const [i, connection] of publishing.entries()) {
      this.#publishers.push(new Publisher(connection, i, this.#topic(i), this.#workload, Math.max(this.#copies, 1)))
    }
  }

  /** Publishes `messages` by each publisher, or runs the whole of a workload that is about connecting. */
  async run(messages: number): Promise<LoadResult> {
    const { kind } = this.#workload
    const cpu = process.cpuUsage()
    const began = performance.now()
    if (kind === 'connect') await this.#runConnect(messages)
    else if (kind === 'takeOver') await this.#runTakeOver()
    else if (kind === 'retained') await this.#runRetained(messages)
    else await this.#runPublish(messages)
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const latency = this.#latency
    return {
      seconds,
      messages: this.#copies === 0 ? Math.max(this.#acked, this.#arrived) : this.#arrived,
      expected: this.#expected,
      loadCpu: (user + system) / 1e6 / seconds,
      p50: latency?.percentile(50) ?? null,
      p99: latency?.percentile(99) ?? null,
    }
  }

  async #connectMany(name: string, count: number, port = this.#port): Promise<Connection[]> {
    const opened: Connection[] = []
    let next = 0
    const one = async (): Promise<void> => {
      while (next < count) {
        const i = next++
        const connection = new Connection(port, i, this, sourceAddress(this.#connections.length))
        this.#connections.push(connection)
        opened[i] = connection
        await connection.connect(packets.connect(`bench-${name}-${i}`, this.#workload.cleanSession))
      }
    }
    await Promise.all(Array.from({ length: this.#workload.inTurn === true ? 1 : Math.min(connectingMax, count) }, one))
    return opened
  }

  // A thousand filters a packet at most: it has to fit into what brokers accept.
  async #subscribe(connection: Connection, i: number, qos: number): Promise<void> {
    const { kind, filters = 1 } = this.#workload
    if (kind !== 'wildcards') return connection.ask(packets.subscribe([this.#filter(i)], qos), 9)
    for (let from = 0; from < filters; from += 1000) {
      const some = Array.from({ length: Math.min(1000, filters - from) }, (_, k) => `bench/${i}/+/${from + k}`)
      await connection.ask(packets.subscribe(some, qos), 9)
    }
  }

  #topic(i: number): string {
    if (this.#workload.kind === 'wildcards') return `bench/${i}/any/0`
    return this.#workload.kind === 'fanOut' ? 'bench/all' : `bench/${i}/data`
  }

  #filter(i: number): string {
    switch (this.#workload.kind) {
      case 'fanOut':
        return 'bench/all'
      case 'fanIn':
        return 'bench/+/data'
      case 'shared':
        return '$share/group/bench/+/data'
      default:
        return `bench/${i}/data`
    }
  }

  async #runPublish(messages: number): Promise<void> {
    const { qos, rate, publishers } = this.#workload
    this.#arrived = 0
    this.#acked = 0
    this.#expected = messages * publishers * Math.max(this.#copies, 1)
    this.#latency = rate > 0 ? createHistogram() : null
    const finished = new Promise<void>((resolve, reject) => {
      this.#finished = resolve
      this.#failed = reject
    })
    const watch = this.#watch()
    for (const publisher of this.#publishers) publisher.begin(messages, rate > 0)
    if (rate > 0) this.#pace(rate)
    else for (const publisher of this.#publishers) publisher.pump()
    if (qos === 0 && this.#copies === 0) {
      // QoS 0 has no acknowledgement: a ping behind the last message is answered when the broker has read it.
      await Promise.all(this.#publishers.map(publisher => publisher.sent))
      await Promise.all(this.#publishers.map(({ connection }) => connection.ask(packets.pingreq, 13)))
      this.#arrived = this.#expected
    } else {
      await finished
    }
    clearInterval(watch)
  }

  #watch(): NodeJS.Timeout {
    let seen = -1
    return setInterval(() => {
      const progress = this.#arrived + this.#acked + this.#publishers.reduce((sum, publisher) => sum + publisher.count, 0)
      if (progress === seen)
        this.#failed?.(new Error(`no progress: ${this.#arrived} of ${this.#expected} messages arrived, ${this.#acked} acknowledged`))
      seen = progress
    }, stallMs)
  }

  // Sends what is due, measured against the clock and not against the last send, so that a late timer does not hide a delay.
  #pace(rate: number): void {
    const began = performance.now()
    const total = this.#workload.publishers * this.#publishers[0]!.messages
    let sent = 0
    const step = (): void => {
      const now = performance.now()
      const due = Math.min(total, Math.floor(((now - began) / 1000) * rate))
      for (; sent < due; sent++) this.#publishers[sent % this.#publishers.length]!.sendOne(began + (sent / rate) * 1000)
      if (sent < total) setImmediate(step)
    }
    step()
  }

  async #runConnect(count: number): Promise<void> {
    const { publishers } = this.#workload
    this.#expected = publishers
    await this.#connectMany(`c${count}`, publishers)
    this.#arrived = publishers
  }

  // All at once; over when one connection is left of each client id.
  async #runTakeOver(): Promise<void> {
    const { publishers, clientIds = 1 } = this.#workload
    this.#expected = publishers
    let left = publishers
    await new Promise<void>(resolve => {
      const nothing = (): void => {}
      const closed = (): void => {
        left -= 1
        if (left === clientIds) resolve()
      }
      for (let i = 0; i < publishers; i++) {
        const connection = new Connection(this.#port, i, { delivered: nothing, acked: nothing, drained: nothing, closed })
        this.#connections.push(connection)
        // Most are closed by the next one before or after their CONNACK.
        connection.connect(packets.connect(`bench-claimed-${i % clientIds}`, true)).catch(nothing)
      }
    })
    this.#arrived = publishers
  }

  // Every topic is stored once; then each subscriber asks for all of them.
  async #runRetained(messages: number): Promise<void> {
    const { subscribers, payload } = this.#workload
    const [publisher] = await this.#connectMany('retainer', 1)
    for (let i = 0; i < messages; i++) {
      const bytes = packets.publish(`bench/retained/${i % 100}/${i}`, Buffer.alloc(payload), 0, true)
      const at = publisher!.reserve(bytes.length)
      publisher!.buffer.set(bytes, at)
      if (publisher!.blocked) await new Promise<void>(resolve => setImmediate(resolve))
    }
    publisher!.flush()
    await publisher!.ask(packets.pingreq, 13)
    this.#arrived = 0
    this.#expected = messages * subscribers
    const finished = new Promise<void>((resolve, reject) => {
      this.#finished = resolve
      this.#failed = reject
    })
    const watch = this.#watch()
    const readers = await this.#connectMany('reader', subscribers)
    for (const reader of readers) reader.ask(packets.subscribe(['bench/retained/#'], 0), 9)
    await finished
    clearInterval(watch)
  }

  delivered(_connection: Connection, bytes: Buffer, at: number, _end: number): void {
    this.#arrived += 1
    if (this.#publishers.length > 0) {
      if (this.#latency !== null) {
        const micros = (performance.now() - bytes.readDoubleLE(at + 8)) * 1000
        this.#latency.record(Math.max(1, Math.round(micros)))
      }
      this.#publishers[bytes.readUInt32LE(at)]?.delivered()
    }
    this.#settle()
  }

  acked(connection: Connection): void {
    this.#acked += 1
    this.#publishers[connection.index]!.acked()
    this.#settle()
  }

  drained(connection: Connection): void {
    if (this.#publishers[connection.index]?.connection === connection) this.#publishers[connection.index]!.pump()
  }

  closed(connection: Connection, error: Error | undefined): void {
    this.#failed?.(new Error(`the broker closed connection ${connection.index}${error === undefined ? '' : `: ${error.message}`}`))
  }

  #settle(): void {
    const { qos, publishers } = this.#workload
    const arrived = this.#copies === 0 || this.#arrived === this.#expected
    const sent = this.#expected / Math.max(this.#copies, 1)
    if (arrived && (qos === 0 || publishers === 0 || this.#workload.kind === 'retained' || this.#acked === sent)) this.#finished?.()
  }
}

/** More connections than one address has ports for come from several; all are loopback. */
function sourceAddress(index: number): string | undefined {
  return index < 20_000 ? undefined : `127.0.0.${2 + Math.floor(index / 20_000)}`
}
