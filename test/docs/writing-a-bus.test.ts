import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { proveUnderNodeTest } from './stranger.ts'

// Goal: the bus that docs/writing-a-bus.md shows is one, proven as the page says, and brokers are one by it.

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = await readFile(join(root, 'docs', 'writing-a-bus.md'), 'utf8')
const [bus, proof] = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code!)

test('its bus passes the contract under node:test, and one that gives a row twice does not', async () => {
  const { status, stdout } = await proveUnderNodeTest({ 'hub.ts': bus!, 'proof.test.ts': proof! })
  expect(stdout).toMatch(/^# tests [1-9]/m)
  expect({ status, failed: stdout.match(/not ok .*/g) }).toEqual({ status: 0, failed: null })
  const forgetful = await proveUnderNodeTest({
    'hub.ts': bus!.replace('return this.#hub.table(node, table).delete(key)', 'return true'),
    'proof.test.ts': proof!,
  })
  expect(forgetful.status).toBe(1)
  expect(forgetful.stdout).toMatch(/not ok \d+ - a row is taken by exactly one/)
}, 300_000)

test('brokers in one process are one by its plugin', async () => {
  const folder = await folderWith({ 'hub.ts': bus! })
  const start = async (brokerId: string) => {
    const cluster = { enable: true, heartbeat: 100, expiry: 1000 }
    const plugins = [join(folder, 'hub.ts')]
    const running = await createBroker({
      preset: 'standalone',
      disk: false,
      memory: true,
      socket: { port: 0 },
      log: { level: 'silent' },
      brokerId,
      cluster,
      plugins,
    } as never).start()
    onTestFinished(() => running.stop())
    return running
  }
  const [one, two] = [await start('one'), await start('two')]
  const connect = async ({ port }: typeof one) => {
    const { connect: open } = await import('node:net')
    const socket = open(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    const client = new TestClient(socket, 5)
    await client.connect({ version: 5 })
    return client
  }
  const reader = await connect(two)
  await reader.subscribe('t', 1)
  const writer = await connect(one)
  await eventually(async () => {
    await writer.publish('t', 'over there', { qos: 1 })
    return reader.heard.some(packet => 'payload' in packet && String(packet.payload) === 'over there')
  })
})
