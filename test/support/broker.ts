import { type Duplex, duplexPair } from 'node:stream'
import { onTestFinished } from 'vitest'
import { StreamTransport } from '../../core/connection/stream-transport.ts'
import type { RunningBroker } from '../../core/running-broker.ts'
import { ManualClock } from '../../core/time/manual-clock.ts'
import { type Config, createBroker } from '../../presets/index.ts'
import { type ConnectOptions, TestClient } from './client.ts'

/** A broker without a port, on a clock that stands still, and clients on streams in memory. */
export interface TestBroker {
  readonly running: RunningBroker
  readonly broker: RunningBroker['broker']
  readonly hooks: RunningBroker['hooks']
  readonly clock: ManualClock
  /** A stream to the broker, from an address, on which nothing has been said yet. */
  open(version?: 3 | 4 | 5, remoteAddress?: string): TestClient
  /** A client that has its CONNACK. */
  connect(options?: ConnectOptions): Promise<TestClient>
  /** Moves time on, and lets everything due happen. */
  advance(ms: number): Promise<void>
}

/** Starts a broker that stops when the test has finished. */
export async function startBroker(config: Config = {}): Promise<TestBroker> {
  const clock = new ManualClock()
  const running = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: false, ...config }, { clock }).start()
  onTestFinished(() => running.stop())
  const open = (version: 3 | 4 | 5 = 4, remoteAddress = 'memory'): TestClient => {
    const [ours, theirs] = duplexPair()
    endWith(ours, theirs)
    endWith(theirs, ours)
    const transport = new StreamTransport(theirs, { protocol: 'memory', listener: 'test', remoteAddress })
    const events = running.accept(transport)
    if (events === null) theirs.on('error', () => {})
    else transport.listen(events)
    return new TestClient(ours, version)
  }
  return {
    running,
    broker: running.broker,
    hooks: running.hooks,
    clock,
    open,
    async connect(options = {}) {
      const client = open(options.version ?? 4)
      await client.connect(options)
      return client
    },
    async advance(ms) {
      clock.advance(ms)
      await settled()
    },
  }
}

// On Node 20 a pair's one side is not told that the other was destroyed; a socket would be, behind the last bytes.
function endWith(closing: Duplex, other: Duplex): void {
  closing.on('close', () => {
    if (!other.destroyed) other.push(null)
  })
}

/** Lets everything that is on its way in memory arrive: streams, immediates and promises take turns a few times. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}
