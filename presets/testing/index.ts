import type { Duplex } from 'node:stream'
import type { Transport } from '../../core/connection/transport.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { StreamTransport } from '../../plugins/kit/transports/stream-transport.ts'
import { type Config, catalogue } from '../index.ts'
import { resolveConfig } from '../shell/config.ts'
import { isPlugin } from '../shell/plugin-shapes.ts'
import { RunningBroker } from '../shell/running-broker.ts'
import { KitClient, type KitClientOptions } from './kit-client.ts'
import { Line } from './line.ts'
import { ManualClock } from './manual-clock.ts'
import { Received, type ReceivedMessage } from './received.ts'
import { settled } from './settled.ts'
import type { TestBus } from './test-bus.ts'
import { keptServices, TestStore } from './test-store.ts'

export type { KitClient, KitClientOptions, KitPublishOptions } from './kit-client.ts'
export type { ReceivedMessage } from './received.ts'
export type { Difference } from './replay/compare.ts'
export { type ReplayAnswer, type ReplayOptions, replay } from './replay/replay.ts'
export { TestBus } from './test-bus.ts'

const clustered = { plugins: () => ['log', 'dropLog', 'limits', 'memory', 'retain', 'shareTopic', 'socket', 'cluster'] }

/** How a test broker runs. */
export interface TestBrokerOptions {
  /** A port on loopback, a free one where it is 0. Left out: no port, connections are `stream()`s. */
  readonly port?: number
  /** `virtual` (default): time stands still until `advance` moves it, for keep-alive, expiry and delays. `real`: it passes. */
  readonly clock?: 'virtual' | 'real'
  /**
   * Brokers that are given the same bus are one broker: what is published at one reaches the subscribers of all. Each has a `brokerId` (`node-1`, `node-2`… where the config says
   * none) and a store of its own; `cluster` of the config is taken. Default: the broker is alone.
   */
  readonly bus?: TestBus
}

/** What can be made to go wrong. Each names a client by its id; one that is not connected is an error. */
export interface Faults {
  /** Breaks the connection, without a DISCONNECT. */
  dropConnection(clientId: string): void
  /** The client reads nothing more, until `false`. Only for connections by `stream()`; a socket of your own you can `pause()`. */
  slowReader(clientId: string, slow?: boolean): void
  /** The store does not answer, until `false`: acknowledgements that depend on it are withheld. Only where the config names no store of its own. */
  storeAway(away?: boolean): void
  /** What waits for the store fails, and it is there again. */
  storeFails(): void
  /**
   * The store takes nothing new, until `false`: it is `full` (MQTT 5 clients are told 0x97), or refuses each message for good (`refused`, 0x83; also by `true`). What it has it
   * gives out. Only where the config names no store of its own.
   */
  storeRefuses(why?: boolean | 'full' | 'refused'): void
  /** Each answer of the store takes so many milliseconds of the broker's time, which `advance` moves, until 0. Only where the config names no store of its own. */
  storeSlow(ms: number): void
}

/** A broker for the tests of a program or of a plugin. */
export interface TestBroker {
  /** The broker itself: hooks, `publish`, `setRights`, counters. */
  readonly running: RunningBroker
  /** Throws where there is none. */
  readonly port: number
  /** `mqtt://127.0.0.1:PORT`. */
  readonly url: string
  /** Every message that was accepted so far, in order. */
  readonly messages: readonly ReceivedMessage[]
  /** What can be made to go wrong. */
  readonly faults: Faults
  /** What the kit ignores of the config (`cluster`), and what else is probably not meant; each is a warning of Node's, too (`MqttxTestKit`). */
  readonly warnings: readonly string[]
  /** A client in memory, connected, which acknowledges what it gets. Rejects where the broker refuses it. */
  client(clientId: string, options?: KitClientOptions): Promise<KitClient>
  /** A connection in memory, on which nothing has been said yet: `new MqttClient(() => broker.stream(), options)`. */
  stream(remoteAddress?: string): Duplex
  /**
   * The next message that matches a topic filter and that this filter was not given yet. One that came already counts. Rejects after `timeoutMs` (default 5000) of
   * real time, and says what came instead.
   */
  received(filter: string, timeoutMs?: number): Promise<ReceivedMessage>
  /** Moves virtual time on, fires what is due, and lets what is on its way in memory arrive. */
  advance(ms: number): Promise<void>
  /** Stops it; every test broker has to be stopped, or is by `await using`. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a broker in this process: in memory, silent, without a port unless one is asked for. `config` is as in `mqttx.config.ts`. */
export async function createTestBroker(config: Config = {}, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const clock = options.clock === 'real' ? new SystemClock() : new ManualClock()
  const { plugins = [], ...rest } = config
  const isNamed = config.memory !== undefined || config.disk !== undefined || config.redis !== undefined
  const owned = plugins.flatMap(plugin => (isPlugin(plugin) ? (plugin.provides ?? []) : []))
  const left = keptServices.filter(service => !owned.includes(service))
  const store = isNamed || left.length === 0 ? null : new TestStore(left)
  const { bus } = options
  const added = [...(store === null ? [] : [store.plugin]), ...(bus === undefined ? [] : [bus.plugin()])]
  const resolved = await resolveConfig(catalogue, {
    object: {
      // Preset `test` has no cluster.
      ...(bus === undefined ? { preset: 'test' } : { preset: clustered, brokerId: bus.nextName() }),
      log: { level: 'silent' },
      socket: options.port === undefined ? false : { port: options.port, host: '127.0.0.1' },
      ...(isNamed ? {} : { memory: false }),
      ...rest,
      plugins: [...added, ...plugins],
    },
  })
  // The log is silent, and whoever asked for a cluster would look for it.
  for (const warning of resolved.warnings) process.emitWarning(warning, 'MqttxTestKit')
  const running = await RunningBroker.start(catalogue, resolved, { clock })
  const received = Received.of(running.hooks)
  const lines = new Map<Transport, Line>()
  running.hooks.onClosed.tap('testing', transport => void lines.delete(transport))

  const transportOf = (clientId: string): Transport => {
    const client = running.broker.clientOf(clientId)
    if (client === undefined) throw new Error(`faults: no client ${JSON.stringify(clientId)} is connected`)
    return client.transport
  }
  const storeOf = (): TestStore => {
    if (store === null || !left.some(service => service !== 'state'))
      throw new Error('faults: the config names a store of its own; leave memory, disk and redis out, and plugins that own sessions')
    return store
  }
  const stream = (remoteAddress = 'memory'): Line => {
    const [ours, theirs] = Line.pair()
    const transport = new StreamTransport(theirs, { protocol: 'memory', listener: 'test', remoteAddress })
    // Whatever address a test gives it, it is of this process.
    const events = running.broker.accept(transport)
    if (events === null) theirs.on('error', () => {})
    else {
      lines.set(transport, theirs)
      transport.listen(events)
    }
    return ours
  }
  const stop = (): Promise<void> => {
    store?.release()
    return running.stop()
  }
  return {
    running,
    warnings: resolved.warnings,
    stream,
    client: (clientId, given = {}) => KitClient.connect(stream(given.remoteAddress), clientId, given),
    faults: {
      dropConnection: clientId => transportOf(clientId).destroy(),
      slowReader(clientId, slow = true) {
        const line = lines.get(transportOf(clientId))
        if (line === undefined)
          throw new Error(`faults: ${clientId} is connected by a socket, which you can pause() yourself; use stream()`)
        line.held = slow
      },
      storeAway(away = true) {
        storeOf().away = away
      },
      storeFails: () => storeOf().fail(),
      storeRefuses(why = true) {
        storeOf().refuses = why === true ? 'refused' : why || null
      },
      storeSlow(ms) {
        storeOf().slowMs = ms
      },
    },
    get port() {
      return running.port
    },
    get url() {
      return `mqtt://127.0.0.1:${running.port}`
    },
    get messages() {
      return received.messages
    },
    received: (filter, timeoutMs = 5000) => received.next(filter, timeoutMs),
    async advance(ms) {
      if (!(clock instanceof ManualClock)) throw new Error("advance: this broker's clock is the real one; leave clock: 'real' out")
      clock.advance(ms)
      await settled()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
