import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Tests of a broker on streams in memory. They leave nothing behind, so their files share what they have loaded: loading it anew for each of them
// took half of their time (2,078 tests: 149 s of CPU, now 72 s).
const inMemory = ['broker', 'conformance', 'core', 'hooks', 'protocol', 'routing', 'sessions'].map(folder => `test/${folder}/**/*.test.ts`)

export default defineConfig({
  resolve: {
    // The longer name first: an alias stands for all that begins with it.
    alias: {
      'mqttx-broker/contracts': fileURLToPath(new URL('./test/contracts/suite/index.ts', import.meta.url)),
      'mqttx-broker/kit': fileURLToPath(new URL('./plugins/kit/index.ts', import.meta.url)),
      'mqttx-broker': fileURLToPath(new URL('./presets/index.ts', import.meta.url)),
    },
  },
  test: {
    projects: [
      { extends: true, test: { name: 'memory', include: inMemory, isolate: false } },
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'], exclude: inMemory } },
    ],
    pool: 'forks',
    // Vitest leaves one core free. Here tests wait for servers and processes, too.
    maxWorkers: Math.max(2, availableParallelism()),
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/security/shown.ts'],
    // A wait that is in vain ends by these. They are no measure of speed: both cores of a machine may be busy with something else.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    teardownTimeout: 30_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
