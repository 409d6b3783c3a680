import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import { changePackage } from './init-package.ts'
import { configFileNames } from './load-config.ts'

const configText = `import { defineConfig } from 'mqttx-broker'
import { hello } from './hello.ts'

// npx mqttx-broker          runs this
// npx mqttx-broker check    prints every option, its value and who set it
export default defineConfig({
  // The plugins to begin with: 'test', 'dev', 'prod' or 'standalone', or a function that returns a list of your own.
  preset: 'standalone',

  // Names this node in logs and in $SYS.
  brokerId: 1,

  // Until this is true, or a plugin says who may connect, the broker listens on this machine only.
  // allowAnonymous: true,

  // One section for each built-in plugin, laid over the preset's options. Naming one turns it on, false turns it off.
  socket: { port: 1883 },
  // sysTopic: { interval: '10s' },
  // shareTopic: false,

  // Plugins of your own, after the built-in ones.
  plugins: [hello({ topic: 'hello' })],
})
`

const pluginText = `import { definePlugin, Stage } from 'mqttx-broker'

/** Logs who says hello: a first plugin, to change or to throw away. */
export const hello = definePlugin({
  name: 'hello',
  options: {
    /** Messages published to this topic are logged. */
    topic: { type: 'string', default: 'hello' },
  },
  apply({ hooks, log }, { topic }) {
    // Called once for each message that a client publishes. A reason code as the answer would refuse it; no answer lets it pass.
    hooks.onPublish.tap({ name: 'hello', stage: Stage.Observe }, (publisher, message) => {
      if (message.topic === topic) log.info({ clientId: publisher.clientId }, 'hello')
      return undefined
    })
  },
})
`

const testText = `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { hello } from './hello.ts'

// npm test     runs this: a broker in the test's own process, without a port
test('lets everybody say hello', async () => {
  const broker = await createTestBroker({ plugins: [hello()] })
  const client = await broker.client('somebody')
  await client.publish('hello', 'good morning')
  assert.equal(String((await broker.received('hello')).payload), 'good morning')
  await broker.stop()
})
`

const tsconfigText = `{
  "compilerOptions": {
    "target": "es2023",
    "lib": ["es2023", "esnext.disposable"],
    "module": "preserve",
    "types": ["node"],
    "strict": true,
    "noEmit": true,
    "allowImportingTsExtensions": true,
    "skipLibCheck": true
  },
  "include": ["*.ts"]
}
`

// Modules, dependencies; sessions and queues of preset `standalone`; keys of `init --tls`.
const ignoreText = 'node_modules/\ndata/\ntls/\n'

/** Writes a first config, a first plugin with its test, and what is missing of tsconfig.json, .gitignore and package.json. Overwrites nothing: all or none is written. */
export function initFolder(folder: string, version = '*'): Promise<string[]> {
  return writeNewFiles(folder, version, { 'mqttx.config.ts': configText, 'hello.ts': pluginText, 'hello.test.ts': testText })
}

/** Writes files that must not be there yet, a config among them, and what is missing of tsconfig.json, .gitignore and package.json. `mode` is that of the files themselves. */
export async function writeNewFiles(
  folder: string,
  version: string,
  own: Readonly<Record<string, string>>,
  mode = 0o666,
): Promise<string[]> {
  const existing = [...new Set([...configFileNames, ...Object.keys(own)])].filter(name => existsSync(join(folder, name)))
  if (existing.length > 0) {
    const text = `init: ${existing.join(' and ')} ${existing.length === 1 ? 'is' : 'are'} here already, and nothing was written; use an empty folder`
    throw new OperatorError('ERR_INIT', text)
  }
  const files: Record<string, string> = { ...own }
  if (!existsSync(join(folder, 'tsconfig.json'))) files['tsconfig.json'] = tsconfigText
  if (!existsSync(join(folder, '.gitignore'))) files['.gitignore'] = ignoreText
  const written: string[] = []
  try {
    const change = await changePackage(
      folder,
      version,
      Object.keys(own).some(name => name.endsWith('.test.ts')),
    )
    for (const [name, text] of Object.entries(files)) {
      // 'wx' refuses a file that has come into being since we looked.
      await writeFile(join(folder, name), text, { flag: 'wx', mode: Object.hasOwn(own, name) ? mode : 0o666 })
      written.push(name)
    }
    const changed = await change()
    const lines = written.map(name => `wrote ${name}`)
    return [...lines, ...changed, changed.length === 0 ? 'next: npx mqttx-broker' : 'next: npm install, then npx mqttx-broker']
  } catch (cause) {
    await Promise.all(written.map(name => rm(join(folder, name), { force: true })))
    throw new OperatorError('ERR_INIT', `init: nothing was written: ${(cause as Error).message}`, { cause })
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `init` found files that it does not overwrite, or may not write. */
    ERR_INIT: true
  }
}
