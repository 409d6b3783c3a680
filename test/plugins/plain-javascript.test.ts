import { copyFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Plugin } from '../../core/plugin.ts'
import { catalogue, createBroker } from '../../presets/index.ts'
import { resolveConfig } from '../../presets/shell/config.ts'
import { loadConfig } from '../../presets/shell/load-config.ts'
import { RunningBroker } from '../../presets/shell/running-broker.ts'
import { folderWith } from '../config/folder.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'

// Goal: who knows nothing but docs/writing-a-plugin.md, and writes plain JavaScript, gets far with five hooks. The fixture is
// the example of that page, to the letter.

const fixture = fileURLToPath(new URL('../fixtures/five-hooks.js', import.meta.url))

async function fromConfig(name: string, text: string): Promise<RunningBroker> {
  const folder = await folderWith({ [name]: text })
  await copyFile(fixture, join(folder, 'five-hooks.js'))
  return RunningBroker.start(catalogue, await resolveConfig(catalogue, { file: (await loadConfig(catalogue, folder))! }))
}

const ways: Record<string, () => Promise<RunningBroker>> = {
  'named in a JSON config': () =>
    fromConfig(
      'mqttx.config.json',
      JSON.stringify({ preset: 'test', log: { level: 'silent' }, socket: { port: 0 }, plugins: ['./five-hooks.js'] }),
    ),
  'named in a YAML config': () =>
    fromConfig('mqttx.config.yaml', 'preset: test\nlog: { level: silent }\nsocket: { port: 0 }\nplugins: [./five-hooks.js]\n'),
  'given as an object': async () => {
    // As a stranger would: the broker has not seen its types.
    const { default: fiveHooks } = (await import(fixture)) as { default: Plugin }
    return createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port: 0 }, plugins: [fiveHooks] }).start()
  },
}

for (const [way, begin] of Object.entries(ways)) {
  describe(`a plain JavaScript plugin with five hooks, ${way},`, () => {
    async function start() {
      const running = await begin()
      onTestFinished(() => running.stop())
      const errors: Error[] = []
      running.hooks.onError.tap('test', error => void errors.push(error))
      onTestFinished(() => expect(errors).toEqual([]))
      const open = (version: 4 | 5 = 4) => new TestClient(connectSocket(running.port, '127.0.0.1'), version)
      const connect = async (options: ConnectOptions & { version?: 4 | 5 } = {}) => {
        const client = open(options.version)
        await client.connect(options)
        return client
      }
      return { running, open, connect }
    }

    test('refuses a client', async () => {
      const { open } = await start()
      expect(await open(5).connect({ clientId: 'bad-1' })).toMatchObject({ reasonCode: 0x8a, properties: { reasonString: 'not you' } })
      expect(await open(4).connect({ clientId: 'bad-2' })).toMatchObject({ reasonCode: 5 })
      expect(await open(4).connect({ clientId: 'good' })).toMatchObject({ reasonCode: 0 })
    })

    test('lowers one subscription and refuses another', async () => {
      const { connect } = await start()
      const [newer, older] = [await connect({ version: 5 }), await connect()]
      expect(await newer.subscribe(['telemetry/#', 'secret/#', 'open/#'], 2)).toEqual([0, 0x87, 2])
      expect(await older.subscribe(['telemetry/#', 'secret/#', 'open/#'], 2)).toEqual([0, 0x80, 2])
      await older.publish('secret/1', 'refused', { qos: 1 })
      await older.publish('telemetry/1', 'lowered', { qos: 1 })
      expect(await newer.message()).toMatchObject({ topic: 'telemetry/1', qos: 0 })
    })

    test('changes a message', async () => {
      const { connect } = await start()
      const [reader, writer] = [await connect(), await connect({ clientId: 'writer' })]
      await reader.subscribe('t', 1)
      await writer.publish('t', 'hello', { qos: 1 })
      expect((await reader.receive()).payload.toString()).toBe('writer: hello')
    })

    test('filters a delivery, and the publisher does not notice', async () => {
      const { connect } = await start()
      const [sleeper, other, writer] = [await connect({ clientId: 'sleeper' }), await connect(), await connect({ version: 5 })]
      for (const reader of [sleeper, other]) await reader.subscribe('#', 1)
      expect((await writer.publish('chat/1', 'x', { qos: 1 }))?.reasonCode).toBe(0)
      await writer.publish('alarm/1', 'fire', { qos: 1 })
      expect((await other.receive()).topic).toBe('chat/1')
      expect((await sleeper.receive()).topic).toBe('alarm/1')
    })

    test('cleans up behind a client', async () => {
      const { connect, open, running } = await start()
      const [first] = [await connect(), await connect(), await connect()]
      expect(await open(5).connect()).toMatchObject({ reasonCode: 0x89 })
      const gone = new Promise<void>(resolve => running.hooks.onDisconnect.tap('test', () => resolve()))
      first.drop()
      await gone
      expect(await open(5).connect()).toMatchObject({ reasonCode: 0 })
    })
  })
}
