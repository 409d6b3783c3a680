import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
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

const tsconfigText = `{
  "compilerOptions": {
    "target": "es2023",
    "lib": ["es2023"],
    "module": "preserve",
    "strict": true,
    "noEmit": true,
    "allowImportingTsExtensions": true,
    "skipLibCheck": true
  },
  "include": ["*.ts"]
}
`

/** Writes a first config, a first plugin, and a tsconfig.json if there is none. Overwrites nothing: all or none is written. */
export async function initFolder(folder: string): Promise<string[]> {
  const existing = [...configFileNames, 'hello.ts'].filter(name => existsSync(join(folder, name)))
  if (existing.length > 0) {
    const text = `init: ${existing.join(' and ')} ${existing.length === 1 ? 'is' : 'are'} here already, and nothing was written; use an empty folder`
    throw new OperatorError('ERR_INIT', text)
  }
  const files: Record<string, string> = { 'mqttx.config.ts': configText, 'hello.ts': pluginText }
  if (!existsSync(join(folder, 'tsconfig.json'))) files['tsconfig.json'] = tsconfigText
  const written: string[] = []
  try {
    for (const [name, text] of Object.entries(files)) {
      // 'wx' refuses a file that has come into being since we looked.
      await writeFile(join(folder, name), text, { flag: 'wx' })
      written.push(name)
    }
  } catch (cause) {
    await Promise.all(written.map(name => rm(join(folder, name), { force: true })))
    throw new OperatorError('ERR_INIT', `init: nothing was written: ${(cause as Error).message}`, { cause })
  }
  return [...written.map(name => `wrote ${name}`), 'next: npx mqttx-broker']
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** `init` found files that it does not overwrite, or may not write. */
    ERR_INIT: true
  }
}
