import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

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
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/security/shown.ts'],
    // A wait that is in vain ends by these. They are no measure of speed: both cores of a machine may be busy with something else.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    teardownTimeout: 30_000,
    expect: { poll: { timeout: 30_000 } },
  },
})
