import { onTestFinished } from 'vitest'
import type { Config } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import type { WholeBroker } from '../../presets/shell/whole-broker.ts'
import { createTestBroker } from '../../presets/testing/index.ts'
import type { ManualClock } from '../../presets/testing/manual-clock.ts'
import { type ConnectOptions, TestClient } from './client.ts'
import { coreOf } from './core.ts'

/** A broker without a port, on a clock that stands still, and clients on streams in memory. */
export interface TestBroker {
  readonly running: RunningBroker
  readonly broker: WholeBroker
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
  // The store that the test names, or the memory of preset `test` itself.
  const kit = await createTestBroker({ memory: true, ...config })
  onTestFinished(() => kit.stop())
  const { running } = kit
  const open = (version: 3 | 4 | 5 = 4, remoteAddress?: string): TestClient => new TestClient(kit.stream(remoteAddress), version)
  return {
    running,
    broker: coreOf(running),
    hooks: running.hooks,
    clock: running.broker.clock as ManualClock,
    open,
    async connect(options = {}) {
      const client = open(options.version ?? 4)
      await client.connect(options)
      return client
    },
    async advance(ms) {
      await kit.advance(ms)
    },
  }
}

export { settled } from '../../presets/testing/settled.ts'
