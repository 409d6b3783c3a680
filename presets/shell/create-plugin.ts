import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { CommandIo } from '../../plugins/kit/command.ts'
import type {} from './init.ts'

const { version } = createRequire(import.meta.url)('mqttx-broker/package.json') as { version: string }

/** `create-plugin NAME`: a folder with a plugin, its test, a README and a package.json that is ready to be published. */
export async function createPlugin(args: readonly string[], { folder, out }: CommandIo): Promise<number> {
  const [given, ...more] = args
  const name = basename(given ?? '')
  if (given === undefined || more.length > 0 || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    throw new OperatorError(
      'ERR_ARGUMENTS',
      'create-plugin: npx mqttx-broker create-plugin NAME, in small letters, digits and -: mqttx-plugin-greeter',
    )
  // The plugin's own name, which is its section in a config too: mqttx-plugin-door-bell is doorBell.
  const plugin = name.replace(/^mqttx-plugin-(?=.)/, '').replaceAll(/-(.)/g, (_all, letter: string) => letter.toUpperCase())
  const place = resolve(folder, given)
  try {
    // Fails where there is something already: nothing is overwritten.
    await mkdir(place)
    for (const [file, text] of Object.entries(filesOf(name, plugin))) await writeFile(join(place, file), text, { flag: 'wx' })
  } catch (cause) {
    throw new OperatorError('ERR_INIT', `create-plugin: ${place} cannot be made (${(cause as Error).message}); name another folder`, {
      cause,
    })
  }
  for (const file of Object.keys(filesOf(name, plugin))) out(`wrote ${given}/${file}`)
  out(`next: cd ${given}, npm install, npm test`)
  return 0
}

function filesOf(name: string, plugin: string): Record<string, string> {
  const manifest = {
    name,
    version: '0.1.0',
    description: `A plugin for mqttx-broker: ${plugin}`,
    keywords: ['mqttx-broker', 'mqtt', 'plugin'],
    type: 'module',
    exports: './index.js',
    files: ['index.js'],
    scripts: { test: 'node --test', prepublishOnly: 'npm test' },
    engines: { node: '>=20.19' },
    // The broker that loads it brings it.
    peerDependencies: { 'mqttx-broker': `^${version}` },
    devDependencies: { 'mqttx-broker': `^${version}` },
  }
  return {
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'index.js': indexText(plugin),
    'index.test.js': testText(plugin),
    'README.md': readmeText(name, plugin),
    '.gitignore': 'node_modules/\n',
  }
}

const indexText = (plugin: string) => `import { definePlugin, ReasonCode, Stage } from 'mqttx-broker'

/** Refuses messages that are larger than a topic may carry: a beginning, to be changed. */
export const ${plugin} = definePlugin({
  name: '${plugin}',
  options: {
    /** Bytes of a payload at most. */
    bytesMax: { type: 'bytes', default: '1KiB', live: true },
  },
  apply({ hooks }, options) {
    let { bytesMax } = options
    // A refusal is returned, never thrown; no answer is no opinion.
    hooks.onPublish.tap({ name: '${plugin}', stage: Stage.Guard }, (_publisher, message) =>
      message.payloadLength > bytesMax ? ReasonCode.QuotaExceeded : undefined,
    )
    return {
      reload(next) {
        bytesMax = next.bytesMax
      },
    }
  },
})
`

const testText = (plugin: string) => `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import { ${plugin} } from './index.js'

test('refuses a message that is too large, and no other', async t => {
  const broker = await createTestBroker({ plugins: [${plugin}({ bytesMax: 10 })] })
  t.after(() => broker.stop())
  const client = await broker.client('somebody')
  await client.subscribe('t', 1)
  assert.equal(await client.publish('t', 'short', { qos: 1 }), 0)
  assert.equal(await client.publish('t', 'much too long', { qos: 1 }), 0x97)
  assert.equal(String((await client.received('t')).payload), 'short')
  assert.equal(client.messages.length, 1)
})
`

const readmeText = (name: string, plugin: string) => `# ${name}

A plugin for [mqttx-broker](https://www.npmjs.com/package/mqttx-broker).

\`\`\`sh
npm install ${name}
\`\`\`

\`\`\`yaml
# mqttx.config.yaml
plugins:
  - ${name}
${plugin}:
  bytesMax: 1KiB
\`\`\`

| option | default | |
|---|---|---|
| \`bytesMax\` | \`1KiB\` | Bytes of a payload at most. May change while the broker runs. |
`
