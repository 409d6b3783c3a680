import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Test files share what they have loaded: loading it anew for each of them took a third to half of their time (2,078 tests on
// streams in memory: 149 s of CPU, now 72 s). So a test leaves nothing behind: no changed environment, no patched module.
/** These look at the whole process: what a trial of its handles came to, what its memory holds. */
const apart = ['test/core/caches.test.ts', 'test/kit/handle-trial-fails.test.ts', 'test/security/hostile.test.ts']

// The files that take longest, so that none of them is begun when all others are through.
const long = [
  'fault/faults',
  'fault/cluster',
  'fault/recovery',
  'process/package',
  'fault/answers',
  'security/hostile',
  'bridge/outage',
  'contracts/redis',
]

/** Begins with the files that take longest. */
class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = long.findIndex(name => moduleId.endsWith(`/test/${name}.test.ts`))
      return at === -1 ? long.length : at
    }
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  resolve: {
    // The longer name first: an alias stands for all that begins with it.
    alias: {
      'mqttx-broker/contracts': fileURLToPath(new URL('./test/contracts/suite/index.ts', import.meta.url)),
      'mqttx-broker/aedes': fileURLToPath(new URL('./presets/aedes/index.ts', import.meta.url)),
      'mqttx-broker/node-red': fileURLToPath(new URL('./presets/node-red/index.ts', import.meta.url)),
      'mqttx-broker/kit': fileURLToPath(new URL('./plugins/kit/index.ts', import.meta.url)),
      'mqttx-broker': fileURLToPath(new URL('./presets/index.ts', import.meta.url)),
    },
  },
  test: {
    projects: [
      { extends: true, test: { name: 'together', include: ['test/**/*.test.ts'], exclude: apart, isolate: false } },
      { extends: true, test: { name: 'apart', include: apart } },
    ],
    pool: 'forks',
    // Vitest leaves one core free. Here tests wait for servers and processes much of the time.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongFilesFirst },
    globalSetup: ['test/support/global-setup.ts'],
    // Admin sockets of brokers that tests start lie there, and not in a folder of the project.
    env: { RUNTIME_DIRECTORY: join(tmpdir(), 'mqttx-admin') },
    setupFiles: ['test/security/shown.ts'],
    // A wait that is in vain ends by these. They are no measure of speed: both cores of a machine may be busy with something else.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    teardownTimeout: 30_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
