import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import type { Transport } from '../../../core/connection/transport.ts'
import { definePlugin } from '../../../core/plugin.ts'
import { PacketType } from '../../../core/protocol/constants.ts'
import { ReasonCode } from '../../../core/reason.ts'
import { encodeClientPacket } from '../../../plugins/kit/client-packets.ts'
import type { Config } from '../../../presets/index.ts'
import type { RunningBroker } from '../../../presets/shell/running-broker.ts'
import { createTestBroker, type TestBroker } from '../../../presets/testing/index.ts'
import { KitClient, type KitClientOptions } from '../../../presets/testing/kit-client.ts'
import { soon } from './soon.ts'

/** What a listener may not have: an address to be bound to (`host`), places that are counted (`maxConnections`), a way to take no more connections (`unlisten`). */
export type ListenerFeature = 'host' | 'maxConnections' | 'unlisten'

/** What the suite wants of a listener. */
export interface ListenerTerms {
  /** Where it is to listen; the port is a free one. */
  readonly host: string
  /** Connections at once; `undefined`: as many as come. */
  readonly maxConnections: number | undefined
}

/** A listener, or a transport of one's own, that is to be proven. */
export interface ListenerOwner {
  /** Completes "a listener …". */
  readonly name: string
  /** What it does not have: said in the titles. Default: nothing. */
  readonly lacks?: readonly ListenerFeature[]
  /** The config of a broker that listens there: with a built-in plugin's section, or with a plugin of yours in `plugins`. Where connections come otherwise it is empty. */
  config(terms: ListenerTerms): Config | Promise<Config>
  /** Called when the broker runs: for a server that is attached to it. Default: nothing has to be done. */
  started?(running: RunningBroker): void | Promise<void>
  /** A client's end of a new connection, as a stream of MQTT's own bytes. Rejects, or the stream closes, where the broker takes none. */
  connect(running: RunningBroker): Duplex | Promise<Duplex>
  /** Called when a test has ended and its broker has stopped. */
  dispose?(): void | Promise<void>
}

const patienceMs = 30_000
// MQTT 3.1.1's.
const connackBytes = 4

/** One test's own broker, with what it says of connections. */
export class ListenerHarness {
  readonly #owner: ListenerOwner
  readonly #streams: Duplex[] = []
  broker!: TestBroker
  /** Of all connections, in the order in which they came. */
  readonly transports: Transport[] = []
  readonly closed: Transport[] = []
  /** The client ids of those that onDisconnect was called for. */
  readonly gone: string[] = []

  constructor(owner: ListenerOwner) {
    this.#owner = owner
  }

  async start(terms: Partial<ListenerTerms> = {}): Promise<void> {
    const { plugins = [], ...config } = await this.#owner.config({ host: '127.0.0.1', maxConnections: undefined, ...terms })
    const watcher = definePlugin({
      name: 'contract',
      apply: ({ hooks }) => {
        hooks.onAccept.tap('contract', transport => void this.transports.push(transport))
        hooks.onClosed.tap('contract', transport => void this.closed.push(transport))
        hooks.onDisconnect.tap('contract', ({ clientId }) => void this.gone.push(clientId))
        hooks.onConnect.tap('contract', ({ clientId }) => (clientId === 'unwanted' ? ReasonCode.Banned : undefined))
      },
    })
    this.broker = await createTestBroker({ mqtt: { maximumPacketSize: '8MiB' }, ...config, plugins: [watcher(), ...plugins] })
    await this.#owner.started?.(this.broker.running)
  }

  /** A connection on which nothing has been said yet. */
  async stream(): Promise<Duplex> {
    const stream = await soon(Promise.resolve(this.#owner.connect(this.broker.running)), 'the connection')
    stream.on('error', () => {})
    // Some streams are open for writing when the other side has ended.
    stream.on('end', () => stream.destroy())
    this.#streams.push(stream)
    return stream
  }

  /** A client, connected. */
  async client(clientId: string, options: KitClientOptions = {}): Promise<KitClient> {
    return soon(KitClient.connect(await this.stream(), clientId, options), 'CONNACK')
  }

  /** The same with its stream, and with what the broker has of it. */
  async whole(clientId: string): Promise<{ client: KitClient; stream: Duplex; transport: Transport }> {
    const stream = await this.stream()
    const client = await soon(KitClient.connect(stream, clientId, {}), 'CONNACK')
    const { transport } = this.broker.running.broker.clientOf(clientId)!
    return { client, stream, transport }
  }

  /** A client of which nothing is read here but what a test reads itself: all that comes behind CONNACK. */
  async raw(clientId: string): Promise<{ stream: Duplex; transport: Transport }> {
    const stream = await this.stream()
    const packet = { bridge: false, clientId, cleanStart: true, keepAlive: 0, will: undefined, username: undefined, password: undefined }
    const connect = encodeClientPacket({ type: PacketType.Connect, version: 4, ...packet, properties: undefined }, 4)
    const connack = bytesOf(stream, connackBytes)
    stream.write(connect)
    assert.equal((await connack).toString('hex'), '20020000', 'CONNACK')
    return { stream, transport: this.broker.running.broker.clientOf(clientId)!.transport }
  }

  /** A connection, and what the broker has of it, before any packet. */
  async silent(): Promise<{ stream: Duplex; transport: Transport }> {
    const before = this.transports.length
    const stream = await this.stream()
    await this.until(() => this.transports.length > before, 'onAccept is asked about the connection')
    return { stream, transport: this.transports.at(-1)! }
  }

  /** Waits until it is so; `what` says in the error what was waited for. */
  async until(isSo: () => boolean, what: string): Promise<void> {
    const end = performance.now() + patienceMs
    while (!isSo()) {
      if (performance.now() > end) assert.fail(`waited in vain: ${what}`)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }

  async dispose(): Promise<void> {
    try {
      for (const stream of this.#streams) stream.destroy()
      if (this.broker !== undefined) await soon(this.broker.stop(), 'the stop of the broker')
    } finally {
      await this.#owner.dispose?.()
    }
  }
}

/** All bytes that come until there are so many, or the stream has ended. */
export async function bytesOf(stream: Duplex, count: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  if (count === 0) return Buffer.alloc(0)
  await soon(
    new Promise<void>(resolve => {
      const take = (chunk: Buffer): void => {
        chunks.push(chunk)
        length += chunk.length
        if (length < count) return
        stream.off('data', take)
        resolve()
      }
      stream.on('data', take)
      stream.resume()
      stream.once('end', resolve)
      stream.once('close', resolve)
    }),
    'what is to be read',
  )
  return Buffer.concat(chunks)
}
