// Loaded into each process of aedes' tests: what they import of aedes is `mqttx-broker/aedes`, and what they import of its insides says so when it is used.
import Module, { createRequire, register } from 'node:module'

register('./resolve.mjs', import.meta.url)

// A test in CommonJS asks another loader.
const require = createRequire(import.meta.url)
const resolveFilename = Module._resolveFilename
Module._resolveFilename = (request, ...rest) =>
  request === '../aedes.js' ? require.resolve('mqttx-broker/aedes') : resolveFilename(request, ...rest)
