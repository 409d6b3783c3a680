import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { configOf } from '../../presets/node-red/editor-fields.ts'
import { connect } from '../interop/mqtt-js.ts'
import { freePort } from '../support/redis.ts'
import { Host, type HostedNode } from './host.ts'

// Goal: what the node makes of its fields, and what it says, without a Node-RED. `npm run test:node-red` shows the same in real ones.

const topicsOf = (node: HostedNode) => node.sent.flatMap(([event]) => (event ? [event.topic] : []))

function isOpen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connectSocket(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

describe('what the fields say', () => {
  test('a node as it comes out of the palette keeps on disk, in a folder of its own', () => {
    const fields = { preset: 'standalone', port: '1883', websocket: 'off', access: 'local', config: '{}' } as const
    expect(configOf(fields, 'n1')).toEqual({ preset: 'standalone', socket: { port: 1883 }, disk: { path: 'mqttx-broker/n1' } })
    expect(configOf({}, 'n1')).toEqual({ preset: 'standalone', socket: false, disk: { path: 'mqttx-broker/n1' } })
  })

  test('each field has its option', () => {
    const fields = {
      preset: 'test',
      port: 1884,
      websocket: 'port',
      websocketPort: '8083',
      access: 'anyone',
      sysTopic: true,
      config: '',
    } as const
    expect(configOf(fields, 'n1')).toEqual({
      preset: 'test',
      socket: { port: 1884 },
      websocket: { port: 8083 },
      allowAnonymous: true,
      sysTopic: {},
    })
    // Preset prod would open port 8083 although the editor says no WebSocket.
    expect(configOf({ preset: 'prod', port: '1883', websocket: 'off' }, 'n1')).toMatchObject({ websocket: false })
  })

  test('the config wins, section by section, option by option', () => {
    const config = JSON.stringify({ socket: { host: '0.0.0.0' }, disk: { path: 'here' }, sysTopic: false, limits: { maxConnections: 5 } })
    expect(configOf({ preset: 'standalone', port: '1883', sysTopic: true, config }, 'n1')).toEqual({
      preset: 'standalone',
      socket: { port: 1883, host: '0.0.0.0' },
      disk: { path: 'here' },
      sysTopic: false,
      limits: { maxConnections: 5 },
    })
    expect(configOf({ port: '1883', config: '{"socket":[{"port":1},{"port":2}]}' }, 'n1').socket).toEqual([{ port: 1 }, { port: 2 }])
  })

  test.each([
    [{ config: '{' }, /^Config: .*write a JSON object/],
    [{ config: '7' }, /^Config: this is no JSON object/],
    [{ config: '{"plugins":"./one.js"}' }, /^Config: plugins is no list/],
    [{ port: 'x' }, /^Port: x is no port/],
    [{ port: '65536' }, /^Port: 65536/],
    [{ websocket: 'port' as const }, /^WebSocket port: {2}is no port/],
  ])('what is wrong is named by its label: %o', (fields, text) => {
    expect(() => configOf(fields, 'n1')).toThrow(text)
  })
})

test('the status says starting, then how many clients there are, and nothing when the node has closed', async () => {
  const host = await Host.start()
  const port = await freePort()
  const node = await host.serve({ port })
  expect(node.statuses.map(({ text }) => text)).toEqual(['starting', '0 clients'])
  const { client } = await connect({ port })
  await node.until(() => node.shown === 'green 1 client')
  await client.endAsync()
  await node.until(() => node.shown === 'green 0 clients')
  await node.close()
  expect(node.statuses.at(-1)).toEqual({})
  expect(await isOpen(port)).toBe(false)
})

test('events have the names of aedes’ events, with a plain description of the client', async () => {
  const host = await Host.start()
  const port = await freePort()
  const node = await host.serve({ port, config: '{"mqtt":{"maximumPacketSize":200}}' })
  const { client } = await connect({ port }, { clientId: 'a', protocolVersion: 5, username: 'ada' })
  await client.subscribeAsync('x', { qos: 1 })
  await client.unsubscribeAsync('x')
  client.on('error', () => {})
  client.publish('x', 'y'.repeat(300))
  await node.until(() => topicsOf(node).includes('clientDisconnect'))
  expect(topicsOf(node)).toEqual(['client', 'clientReady', 'subscribe', 'unsubscribe', 'clientError', 'clientDisconnect'])
  const payloads = node.sent.map(([event]) => event!.payload as { client: object; err?: object })
  expect(payloads[1]!.client).toEqual({ id: 'a', username: 'ada', version: 5, keepalive: 60, clean: true, address: '127.0.0.1' })
  expect(payloads[2]).toMatchObject({ topic: 'x', qos: 1 })
  expect(payloads[4]!.err).toMatchObject({ code: 0x95 })
})

test('messages are told only while the second output is wired, those of the broker without a client', async () => {
  const host = await Host.start()
  const port = await freePort()
  const node = await host.serve({ port, sysTopic: true })
  const { client } = await connect({ port }, { clientId: 'a' })
  await client.publishAsync('x', 'not told', { qos: 1 })
  node.wires = [[], ['somewhere']]
  await client.publishAsync('x', 'told', { qos: 1, retain: true })
  const told = node.sent.flatMap(([, message]) => message ?? []) as { topic: string; payload: { packet: object; client: object } }[]
  expect(told).toHaveLength(1)
  expect(told[0]).toMatchObject({
    topic: 'publish',
    payload: { packet: { cmd: 'publish', topic: 'x', payload: Buffer.from('told'), qos: 1, retain: true }, client: { id: 'a' } },
  })
})

test('a user name and password let in one user, and leave others to the config', async () => {
  const host = await Host.start()
  const port = await freePort()
  const plain = '{"socket":{"tls":false}}'
  await host.serve({ port, access: 'password', config: plain }, { username: 'ada', password: 'sesame' })
  const { client } = await connect({ port }, { username: 'ada', password: 'sesame' })
  expect(client.connected).toBe(true)
  for (const [username, password, code] of [
    ['ada', 'wrong', 4],
    ['ada', '', 4],
    ['eve', 'sesame', 5],
  ] as const)
    await expect(connect({ port }, { username, password })).rejects.toMatchObject({ code })
})

test('what fails is said by a red status and an error with the cure; the node closes all the same', async () => {
  const host = await Host.start()
  const port = await freePort()
  await host.serve({ port })
  const second = host.deploy({ port }, undefined, 'node-2')
  await second.until(() => second.errors.length > 0)
  expect(second.shown).toMatch(/^red socket.port: \d+ is in use/)
  expect(second.errors[0]).toMatchObject({ message: { topic: 'error', payload: { code: 'ERR_PORT_IN_USE' } } })
  await second.close()
  for (const [fields, text] of [
    [{ access: 'password' as const }, 'Clients: a user name and a password are needed'],
    [{ tls: 'gone' }, 'TLS: the TLS configuration is not there'],
    [{ config: '{"plugins":["./none.js"]}' }, 'none.js'],
  ] as const) {
    const node = host.deploy({ port: 0, ...fields }, undefined, 'node-3')
    await node.until(() => node.errors.length > 0)
    expect(node.errors[0]!.text).toContain(text)
    expect(node.statuses.at(-1)!.text!.length).toBeLessThanOrEqual(60)
    await node.close()
  }
})

test('a node that is closed while it starts leaves nothing behind', async () => {
  const host = await Host.start()
  const port = await freePort()
  for (let i = 0; i < 3; i++) await host.deploy({ port }).close()
  expect(await isOpen(port)).toBe(false)
  const node = await host.serve({ port })
  expect(node.errors).toEqual([])
})

test('MQTT over WebSocket at a path of Node-RED’s own server, below httpNodeRoot, until the node closes', async () => {
  const host = await Host.start()
  const node = await host.serve({ port: '', websocket: 'path', websocketPath: 'mqtt' })
  const mqtt = (await import('mqtt')).default
  const url = `ws://127.0.0.1:${host.port}/red/mqtt`
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0 }, false)
  await client.endAsync()
  await node.close()
  await expect(mqtt.connectAsync(url, { reconnectPeriod: 0, connectTimeout: 500 }, false)).rejects.toThrow()
})

test('package.json names the node, and its files are in the package', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const { files, 'node-red': field } = createRequire(import.meta.url)('../../package.json') as {
    files: string[]
    'node-red': { nodes: Record<string, string> }
  }
  const [[name, file]] = Object.entries(field.nodes) as [[string, string]]
  expect([name, files.includes('node-red')]).toEqual(['mqttx-broker', true])
  for (const path of [file, file.replace(/\.cjs$/, '.html'), 'node-red/icons/mqttx-broker.svg'])
    expect(existsSync(join(root, path))).toBe(true)
  // Each field of the editor is one that the node reads, and the other way round.
  const html = readFileSync(join(root, 'node-red/mqttx-broker.html'), 'utf8')
  const inputs = [...html.matchAll(/id="node-input-(\w+)"/g)].map(([, id]) => id!).sort()
  const fields = readFileSync(join(root, 'presets/node-red/editor-fields.ts'), 'utf8')
  const read = [...fields.slice(0, fields.indexOf('class FieldError')).matchAll(/^ {2}readonly (\w+)\?/gm)].map(([, id]) => id!)
  expect(inputs).toEqual([...read, 'username', 'password'].sort())
})
