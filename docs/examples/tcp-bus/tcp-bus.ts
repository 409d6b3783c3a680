// The bus of a cluster on plain TCP, by a hub that all nodes are connected to (hub.ts says more). Each node has the plugin; sessions and retained messages
// are in a store that all share, Redis' say. Where the hub is away a node goes on with its own clients, and acknowledgements that need the others wait.
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import {
  type Bus,
  type BusEvents,
  type BusTerms,
  definePlugin,
  type Node,
  OperatorError,
  StoreAwayError,
  StoreFullError,
} from 'mqttx-broker'
import { type Frame, Frames } from './frames.ts'

export interface TcpBusOptions {
  readonly host: string
  readonly port: number
  readonly secret: string
  /** How many bytes may wait for a hub that is away. */
  readonly waitingMax: number
}

interface Question extends Frame {
  resolve(answer: Frame): void
  reject(error: Error): void
}

export class TcpBus implements Bus {
  readonly node: string
  readonly #options: TcpBusOptions
  #events!: BusEvents
  #terms!: BusTerms
  #boot = randomUUID() as string
  #frames: Frames | null = null
  /** The hub knows this run of the node. */
  #joined = false
  #connected = false
  /** The node was taken for dead, and has not joined anew. */
  #isNewRun = false
  #stopped = false
  #running = false
  readonly #nodes = new Map<string, Node>()
  readonly #agreed = new Map<string, string>()
  /** What happened before `run`. */
  #early: (() => void)[] = []
  // What the hub told, and what it was asked, by number: both go on where they were when a connection comes back.
  #got = 0
  #confirmed = 0
  readonly #questions = new Map<number, Question>()
  #lastAsked = 0
  #waiting = 0
  /** What was posted to this node and waits for the broker to be done with what came before. */
  readonly #posted: Frame[] = []
  #isBusy = false
  #beat: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #opened: { resolve(): void; reject(error: Error): void } | null = null

  constructor(node: string, options: TcpBusOptions) {
    this.node = node
    this.#options = options
  }

  get connected(): boolean {
    return this.#connected
  }

  open(events: BusEvents, terms: BusTerms): Promise<void> {
    this.#events = events
    this.#terms = terms
    this.#beat = setInterval(() => this.#send({ kind: 'beat', facts: terms.facts() }), terms.heartbeatMs)
    return new Promise((resolve, reject) => {
      this.#opened = { resolve, reject }
      this.#connect()
    })
  }

  run(): void {
    this.#running = true
    for (const tell of this.#early.splice(0)) tell()
    this.#frames?.socket.resume()
    this.#handOver()
  }

  nodes(): readonly Node[] {
    const self: Node = { name: this.node, boot: this.#boot, facts: this.#terms.facts() }
    return this.#joined ? [...this.#nodes.values(), self] : [self]
  }

  async announce(record: unknown): Promise<void> {
    await this.#ask({ kind: 'announce', record })
  }

  tell(node: string, frame: Buffer): void {
    this.#send({ kind: 'tell', node }, frame)
  }

  async post(node: string, frame: Buffer): Promise<void> {
    const { head } = await this.#ask({ kind: 'post', node }, Buffer.from(frame))
    if (head.full === true) throw new StoreFullError(`node ${node} does not keep up with what is posted to it`)
  }

  async setRow(table: string, key: string, value: Buffer | null): Promise<void> {
    await this.#ask({ kind: 'setRow', table, key, isGone: value === null }, value === null ? undefined : Buffer.from(value))
  }

  async *rows({ name, boot }: Node, table: string): AsyncIterable<readonly [string, Buffer]> {
    const walk = randomUUID()
    for (let more: unknown = true; more === true; ) {
      const { head, body } = await this.#ask({ kind: 'rows', walk, node: name, boot, table })
      let at = 0
      for (const [key, length] of head.sizes as [string, number][]) yield [key, body.subarray(at, (at += length))]
      more = head.more
    }
  }

  async takeRow({ name, boot }: Node, table: string, key: string): Promise<boolean> {
    const { head } = await this.#ask({ kind: 'takeRow', node: name, boot, table, key })
    return head.value === true
  }

  async agree(name: string, value: string): Promise<string> {
    const { head } = await this.#ask({ kind: 'agree', name, value })
    // The next hub is told, too.
    this.#agreed.set(name, String(head.value))
    return String(head.value)
  }

  /** Leaves in good order; `crash`: without a word, as `kill -9` would. */
  async stop(crash = false): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    clearInterval(this.#beat)
    clearTimeout(this.#retry)
    const frames = this.#frames
    if (frames !== null && !crash && this.#connected) {
      frames.send({ kind: 'leave' })
      await new Promise(resolve => frames.socket.once('close', resolve).setTimeout(1000, () => frames.socket.destroy()))
    }
    frames?.socket.destroy()
    for (const { reject } of this.#questions.values()) reject(new StoreAwayError('the bus has stopped'))
    this.#questions.clear()
  }

  #connect(): void {
    const { host, port, secret } = this.#options
    const { heartbeatMs, expiryMs, facts } = this.#terms
    const socket = connect({ host, port, timeout: expiryMs * 2 })
    const frames = new Frames(
      socket,
      frame => this.#came(frame),
      () => this.#closed(frames),
    )
    this.#frames = frames
    socket.on('timeout', () => socket.destroy())
    const self = { name: this.node, boot: this.#boot, facts: facts(), heartbeatMs, expiryMs }
    frames.send({ kind: 'hello', secret, ...self, isBack: this.#joined, got: this.#got, agreed: [...this.#agreed] })
  }

  #closed(frames: Frames): void {
    if (this.#frames !== frames) return
    this.#frames = null
    this.#connected = false
    // The hub is away: the node joins when that is back.
    this.#opened?.resolve()
    this.#opened = null
    if (!this.#stopped) this.#retry = setTimeout(() => this.#connect(), this.#terms.heartbeatMs)
  }

  #came(frame: Frame): void {
    const { head } = frame
    if (typeof head.number === 'number') {
      if (head.number <= this.#got) return
      this.#got = head.number
      // The hub keeps what is not confirmed; signs of life say it too.
      if (this.#got - this.#confirmed >= 100) this.#send({ kind: 'got' })
    }
    switch (head.kind) {
      case 'welcome':
        return this.#welcome(head)
      case 'taken':
        this.#opened?.reject(new OperatorError('ERR_NODE_TWICE', `brokerId: a node named ${this.node} is alive; name this one otherwise`))
        this.#opened = null
        return void this.stop(true)
      case 'unknown':
        return this.#joinAnew()
      case 'facts': {
        const { name, facts } = head as unknown as Node
        const known = this.#nodes.get(name)
        if (known !== undefined) this.#nodes.set(name, { ...known, facts })
        return
      }
      case 'answer': {
        const question = this.#questions.get(Number(head.to))
        this.#questions.delete(Number(head.to))
        this.#waiting -= question?.body.length ?? 0
        return question?.resolve(frame)
      }
      case 'posted':
        this.#posted.push(frame)
        return this.#handOver()
      case 'told':
        return this.#happens(() => void this.#events.received(String(head.from), frame.body, true))
      case 'announced':
        return this.#happens(() => this.#events.announced(String(head.from), head.record))
      case 'joined':
        return this.#arrived(head.node as Node)
      case 'left': {
        const node = head.node as Node
        this.#nodes.delete(node.name)
        return this.#happens(() => this.#events.left(node, head.died === true))
      }
      case 'inherited': {
        const node = head.node as Node
        return this.#happens(() => {
          void Promise.resolve(this.#events.inherited(node)).finally(() =>
            this.#ask({ kind: 'inherited', boot: node.boot }).catch(() => {}),
          )
        })
      }
    }
  }

  #welcome({ isBack, nodes, lastAsked }: Frame['head']): void {
    this.#joined = true
    this.#connected = true
    if (isBack !== true) for (const node of nodes as Node[]) this.#arrived(node)
    if (this.#isNewRun) {
      this.#isNewRun = false
      this.#happens(() => this.#events.expelled())
      // Its tables are empty, and what the others have said meanwhile it has not heard.
      this.#happens(() => void this.#events.missed())
    }
    // What the hub has dealt with is not asked again: its answer is among what it tells.
    for (const [id, { head, body }] of this.#questions) if (isBack !== true || id > Number(lastAsked)) this.#send({ ...head, id }, body)
    if (isBack === true) this.#happens(() => this.#events.interrupted())
    this.#opened?.resolve()
    this.#opened = null
  }

  /** The others took this node for dead, or there is another hub: it joins as a new run, and knows nothing of the others any more. */
  #joinAnew(): void {
    this.#boot = randomUUID()
    this.#joined = false
    this.#got = 0
    this.#confirmed = 0
    // The next hub counts from the beginning, in the order in which things were asked.
    const questions = [...this.#questions.values()]
    this.#questions.clear()
    this.#lastAsked = 0
    for (const question of questions) this.#questions.set(++this.#lastAsked, question)
    const before = [...this.#nodes.values()]
    this.#nodes.clear()
    this.#posted.length = 0
    this.#happens(() => {
      for (const node of before) this.#events.left(node)
    })
    this.#isNewRun = true
    const frames = this.#frames!
    this.#frames = null
    frames.socket.destroy()
    this.#connect()
  }

  #arrived(node: Node): void {
    this.#nodes.set(node.name, node)
    this.#happens(() => this.#events.joined(node))
  }

  #happens(tell: () => void): void {
    if (this.#running) return tell()
    this.#early.push(tell)
    // What comes before `run` waits where it is.
    if (this.#early.length > 10_000) this.#frames?.socket.pause()
  }

  /** One after the other: where the broker has enough to do, the next waits. The hub hears how much has been dealt with. */
  #handOver(): void {
    while (this.#running && !this.#isBusy) {
      const frame = this.#posted.shift()
      if (frame === undefined) return
      const done = (): void => this.#send({ kind: 'done', done: frame.body.length })
      const busy = this.#events.received(String(frame.head.from), frame.body)
      if (busy === undefined) {
        done()
        continue
      }
      this.#isBusy = true
      void busy.finally(() => {
        this.#isBusy = false
        done()
        this.#handOver()
      })
    }
  }

  #send(head: object, body?: Buffer): void {
    if (!this.#connected) return
    this.#confirmed = this.#got
    this.#frames!.send({ ...head, got: this.#got }, body)
  }

  /** Resolves with the hub's answer, however often the connection breaks meanwhile. */
  #ask(head: object, body: Buffer = Buffer.alloc(0)): Promise<Frame> {
    if (this.#stopped) return Promise.reject(new StoreAwayError('the bus has stopped'))
    if (this.#waiting + body.length > this.#options.waitingMax || this.#questions.size >= 1_000_000)
      return Promise.reject(new StoreAwayError(`too much waits for the hub at ${this.#options.host}:${this.#options.port}; start it`))
    this.#waiting += body.length
    return new Promise((resolve, reject) => {
      const id = ++this.#lastAsked
      this.#questions.set(id, { head: head as Frame['head'], body, resolve, reject })
      this.#send({ ...head, id }, body)
    })
  }
}

/** The service `bus` on plain TCP. */
export const tcpBus = definePlugin({
  name: 'tcpBus',
  provides: ['bus'],
  options: {
    /** Where the hub listens: `10.0.0.1`. */
    host: { type: 'string', default: '127.0.0.1' },
    /** The hub's port. */
    port: { type: 'integer', minimum: 1, maximum: 65_535, default: 7000 },
    /** What the hub wants to be shown. Give it by the environment: `MQTTX_TCP_BUS__SECRET`. */
    secret: { type: 'string', required: true, minLength: 16 },
    /** How many bytes may wait for a hub that is away. Beyond it nothing is acknowledged that needs the others. */
    waitingMax: { type: 'bytes', default: '64MiB' },
  },
  apply({ services, broker }, options) {
    const bus = new TcpBus(String(broker.settings.brokerId), options)
    services.provide('bus', bus, 'tcpBus')
    return { stop: () => bus.stop() }
  },
})
