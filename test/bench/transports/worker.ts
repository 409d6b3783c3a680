import * as packets from '../load/packets.ts'
import { BenchClient } from './client.ts'
import { openWire, type Way } from './wire.ts'

/** What a load process does over one transport. */
export interface TransportLoad {
  readonly way: Way
  readonly port: number
  readonly kind: 'pairs' | 'connect'
  /** Pairs of clients; for `connect` the connections in all, of which 50 at a time shake hands. */
  readonly clients: number
  /** Messages of each pair. */
  readonly messages: number
  readonly payload: number
  readonly qos: 0 | 1
  /** Messages of a pair on the way at once. */
  readonly window: number
}

export interface TransportResult {
  readonly seconds: number
  readonly messages: number
}

/** `open` connects and warms up; `go` runs. The parent reads the broker's processor time before and after `go`. */
export type TransportOrder = { open: TransportLoad } | 'go'
export type TransportAnswer = { ready: true } | TransportResult | { failed: string }

const connectingMax = 50
const warmUpMessages = 300

let load: TransportLoad
let pairs: Pair[] = []

function failed(error: unknown): void {
  process.send!({ failed: error instanceof Error ? error.message : String(error) } satisfies TransportAnswer)
}

async function client(name: string): Promise<BenchClient> {
  const opened = new BenchClient(await openWire(load.way, load.port), error => failed(error ?? 'the broker closed a connection'))
  await opened.connect(name)
  return opened
}

/** One publisher and its subscriber: a window of messages always on the way. */
class Pair {
  readonly #publisher: BenchClient
  readonly #packet: Buffer
  readonly #idAt: number
  #sent = 0
  #arrived = 0
  #total = 0
  #packetId = 0
  #done: () => void = () => {}

  private constructor(publisher: BenchClient, subscriber: BenchClient, topic: string) {
    this.#publisher = publisher
    const { payload, qos } = load
    this.#packet = packets.publish(topic, Buffer.alloc(payload, 'x'), qos)
    this.#idAt = this.#packet.length - payload - 2
    subscriber.onDelivered = () => this.#delivered()
  }

  static async open(index: number): Promise<Pair> {
    const subscriber = await client(`sub-${index}`)
    await subscriber.ask(packets.subscribe([`bench/${index}`], load.qos), 9)
    return new Pair(await client(`pub-${index}`), subscriber, `bench/${index}`)
  }

  run(messages: number): Promise<void> {
    this.#sent = 0
    this.#arrived = 0
    this.#total = messages
    const done = new Promise<void>(resolve => {
      this.#done = resolve
    })
    for (let i = 0; i < Math.min(load.window, messages); i++) this.#send()
    return done
  }

  #send(): void {
    this.#sent += 1
    if (load.qos === 0) return this.#publisher.send(this.#packet)
    const packet = Buffer.from(this.#packet)
    this.#packetId = (this.#packetId % 65_535) + 1
    packet.writeUInt16BE(this.#packetId, this.#idAt)
    this.#publisher.send(packet)
  }

  #delivered(): void {
    this.#arrived += 1
    if (this.#sent < this.#total) this.#send()
    if (this.#arrived === this.#total) this.#done()
  }
}

async function connectAll(name: string, count: number): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < count) await client(`${name}-${next++}`)
  }
  await Promise.all(Array.from({ length: connectingMax }, one))
}

process.on('message', async (order: TransportOrder) => {
  try {
    if (order !== 'go') {
      load = order.open
      if (load.kind === 'pairs') {
        pairs = await Promise.all(Array.from({ length: load.clients }, (_, i) => Pair.open(i)))
        await Promise.all(pairs.map(pair => pair.run(warmUpMessages)))
      } else await connectAll('warm', connectingMax)
      process.send!({ ready: true } satisfies TransportAnswer)
      return
    }
    const began = performance.now()
    if (load.kind === 'pairs') await Promise.all(pairs.map(pair => pair.run(load.messages)))
    else await connectAll('connect', load.clients)
    const seconds = (performance.now() - began) / 1000
    const messages = load.kind === 'pairs' ? load.clients * load.messages : load.clients
    process.send!({ seconds, messages } satisfies TransportAnswer)
  } catch (error) {
    failed(error)
  }
})
process.on('disconnect', () => process.exit(0))
