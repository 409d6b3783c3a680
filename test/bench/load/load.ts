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
  // So often it has run: what is new in each run is named by it.
  #runs = 0
  // Called with each acknowledgement of a `store` load.
  #storeNext: () => void = () => {}

  constructor(port: number, workload: Workload) {
    this.#port = port
    this.#workload = workload
    this.#copies =
      workload.kind === 'publish' || workload.kind === 'connect' || workload.kind === 'takeOver' || workload.kind === 'store'
        ? 0
        : workload.kind === 'fanOut'
          ? workload.subscribers
          : 1
  }

  async open(): Promise<void> {
    const { kind, publishers, subscribers } = this.#workload
    if (kind === 'retained') await this.#store(this.#workload.messages)
    if (kind === 'connect' || kind === 'takeOver' || kind === 'retained' || kind === 'store') return
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
    this.#runs += 1
    if (kind === 'connect') await this.#runConnect()
    else if (kind === 'takeOver') await this.#runTakeOver()
    else if (kind === 'store') await this.#store(messages)
    else if (kind === 'retained') await this.#runRetained()
    else await this.#runPublish(messages)
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const latency = this.#latency
    return {
      seconds,
      messages: this.#copies === 0 ? Math.max(this.#acked, this.#arrived) : this.#arrived,
      expected: this.#expected,
      loadCpu: (user + system) / 1e6 / seconds,
      mean: latency?.mean ?? null,
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
    const { kind, filters = 1, publishers } = this.#workload
    if (kind === 'fanOut')
      return connection.ask(
        packets.subscribe(
          Array.from({ length: publishers }, (_, k) => this.#topic(k)),
          qos,
        ),
        9,
      )
    if (kind !== 'wildcards') return connection.ask(packets.subscribe([this.#filter(i)], qos), 9)
    for (let from = 0; from < filters; from += 1000) {
      const some = Array.from({ length: Math.min(1000, filters - from) }, (_, k) => `bench/${i}/+/${from + k}`)
      await connection.ask(packets.subscribe(some, qos), 9)
    }
  }

  #topic(i: number): string {
    if (this.#workload.kind === 'wildcards') return `bench/${i}/any/0`
    return this.#workload.kind === 'fanOut' ? `bench/all/${i}` : `bench/${i}/data`
  }

  #filter(i: number): string {
    switch (this.#workload.kind) {
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
    await this.#untilFinished(() => {
      for (const publisher of this.#publishers) publisher.begin(messages, rate > 0)
      if (rate > 0) this.#pace(rate)
      else for (const publisher of this.#publishers) publisher.pump()
      if (qos === 0 && this.#copies === 0) void this.#untilRead()
    })
  }

  // QoS 0 has no acknowledgement: a ping behind the last message is answered when the broker has read it.
  async #untilRead(): Promise<void> {
    await Promise.all(this.#publishers.map(publisher => publisher.sent))
    await Promise.all(this.#publishers.map(({ connection }) => connection.ask(packets.pingreq, 13)))
    this.#arrived = this.#expected
    this.#finished?.()
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

  async #runConnect(): Promise<void> {
    const { publishers, rate } = this.#workload
    this.#expected = publishers
    if (rate === 0) await this.#connectMany(`c${this.#runs}`, publishers)
    else await this.#connectPaced(publishers, rate)
    this.#arrived = publishers
  }

  // So many a second, whether those before have had their CONNACK or not.
  async #connectPaced(count: number, rate: number): Promise<void> {
    const latency = createHistogram()
    this.#latency = latency
    const began = performance.now()
    const opened: Promise<void>[] = []
    while (opened.length < count) {
      const due = Math.min(count, Math.floor(((performance.now() - began) / 1000) * rate))
      for (let i = opened.length; i < due; i++) {
        const dueAt = began + (i / rate) * 1000
        const connection = new Connection(this.#port, i, this, sourceAddress(this.#connections.length))
        this.#connections.push(connection)
        const connected = connection.connect(packets.connect(`bench-c${this.#runs}-${i}`, this.#workload.cleanSession))
        opened.push(connected.then(() => latency.record(Math.max(1, Math.round((performance.now() - dueAt) * 1000)))))
      }
      await new Promise<void>(resolve => setImmediate(resolve))
    }
    await Promise.all(opened)
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

  // One publisher stores messages, each under a topic that is new, a window of them at a time.
  async #store(messages: number): Promise<void> {
    const { payload, window } = this.#workload
    const [publisher] = await this.#connectMany(`storer${this.#runs}`, 1)
    const body = Buffer.alloc(payload)
    let sent = 0
    this.#acked = 0
    this.#expected = messages
    await this.#untilFinished(() => {
      this.#storeNext = () => {
        for (; sent < messages && sent - this.#acked < window; sent++) {
          const bytes = packets.publish(`bench/retained/${this.#runs}/${sent % 100}/${sent}`, body, 1, true)
          const at = publisher!.reserve(bytes.length)
          publisher!.buffer.set(bytes, at)
          publisher!.buffer.writeUInt16BE((sent % 65_535) + 1, at + bytes.length - payload - 2)
        }
        if (this.#acked === messages) this.#finished?.()
      }
      this.#storeNext()
    })
  }

  // Each subscriber gets all that is stored.
  async #runRetained(): Promise<void> {
    const { subscribers, messages } = this.#workload
    const readers = await this.#connectMany(`reader${this.#runs}`, subscribers)
    this.#arrived = 0
    this.#acked = 0
    this.#expected = messages * subscribers
    await this.#untilFinished(() => {
      for (const reader of readers) void reader.ask(packets.subscribe(['bench/retained/#'], 0), 9)
    })
  }

  async #untilFinished(begin: () => void): Promise<void> {
    const finished = new Promise<void>((resolve, reject) => {
      this.#finished = resolve
      this.#failed = reject
    })
    const watch = this.#watch()
    begin()
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
    if (this.#workload.kind === 'store' || this.#workload.kind === 'retained') return this.#storeNext()
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
