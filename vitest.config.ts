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
    testTimeout: 20_000,
  },
})
