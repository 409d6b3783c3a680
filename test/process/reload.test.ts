import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

async function start(files: Record<string, string>, ...sets: string[]) {
  const folder = await folderWith(files)
  const args = ['--preset', 'test', '--port', '0', ...sets.flatMap(set => ['--set', set])]
  const command = new Command(built.path('presets/bin.js'), folder, args)
  return { command, port: await command.ready(), write: (name: string, text: string) => replaceFile(join(folder, name), text) }
}

async function connect(port: number) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, protocolVersion: 5 })
  client.on('error', () => {})
  onTestFinished(() => void client.end(true))
  return client
}

const typescript = (body: string) =>
  `import { defineConfig } from 'mqttx-broker'\nimport { level } from './level.ts'\nexport default defineConfig(${body})\n`

// At once, so that no look falls between emptying the file and writing it.
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

test('SIGHUP reads a TypeScript config again, with what it imports; what cannot change is named, and --set goes on to win', async () => {
  const { command, port, write } = await start(
    {
      'mqttx.config.ts': typescript(`{ log: { level }, topicSecurity: { rules: [{ allow: 'all', topics: ['a'] }] } }`),
      'level.ts': `export const level: string = 'info'`,
    },
    'checkConfigEvery=null',
    'limits.maxConnections=5',
  )
  const client = await connect(port)
  await expect(client.publishAsync('b', '', { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
  await write('level.ts', `export const level: string = 'trace'`)
  const rules = `rules: [{ allow: 'all', topics: ['a', 'b'] }]`
  await write(
    'mqttx.config.ts',
    typescript(`{ log: { level }, limits: { maxConnections: 9 }, topicSecurity: { ${rules} }, heartbeat: '9s' }`),
  )
  command.signal('SIGHUP')
  expect((await command.line(/config read again; in force now: (.*)/))[1]).toBe('log.level, topicSecurity.rules')
  expect((await command.line(/WARN: config read again; only the next start takes up: (.*)/))[1]).toBe('heartbeat')
  await client.publishAsync('b', '', { qos: 1 })
  // Every packet is logged now.
  await (await connect(port)).endAsync()
  await command.line(/^TRACE/)
})

test('a changed file is read by itself; one that is wrong changes nothing and says what is wrong', async () => {
  const config = (limits: string) => `limits: ${limits}\n`
  const { command, port, write } = await start({ 'mqttx.config.yaml': config('{ maxConnections: 1 }') }, 'checkConfigEvery=100ms')
  const first = await connect(port)
  await expect(connect(port)).rejects.toMatchObject({ code: 0x97 })
  await write('mqttx.config.yaml', config('{ maxConections: 2 }'))
  expect((await command.line(/ERROR: the config was read again and is not taken up, so nothing has changed: (.*)/))[1]).toContain(
    'limits.maxConections: unknown; did you mean maxConnections?',
  )
  await write('mqttx.config.yaml', config('{ messageBurst: 3 }'))
  await command.line(/limits.messageBurst: means nothing without limits.messagesPerSecond/)
  await expect(connect(port)).rejects.toMatchObject({ code: 0x97 })
  await write('mqttx.config.yaml', config('{ maxConnections: 2 }'))
  expect((await command.line(/config read again; in force now: (.*)/))[1]).toBe('limits.maxConnections')
  await connect(port)
  await expect(connect(port)).rejects.toMatchObject({ code: 0x97 })
  await first.publishAsync('a', '', { qos: 1 })
  expect(command.errors).toEqual([])
})

test('SIGHUP without a config file reads what the environment and the command line say, and finds nothing new', async () => {
  const { command } = await start({})
  command.signal('SIGHUP')
  await command.line(/config read again; nothing has changed/)
})
