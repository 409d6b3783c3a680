import { once } from 'node:events'
import { connect as openSocket } from 'node:net'
import { networkInterfaces } from 'node:os'
import mqtt from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { RedisServer } from '../support/redis.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

async function start(...args: string[]): Promise<Command> {
  return new Command(built.path('presets/bin.js'), await folderWith(), args)
}

/** Whether somebody listens there. */
async function answers(host: string, port: number): Promise<boolean> {
  const socket = openSocket(port, host)
  onTestFinished(() => void socket.destroy())
  const refused = once(socket, 'error').then(() => false)
  return Promise.race([once(socket, 'connect').then(() => true), refused])
}

const addresses = Object.values(networkInterfaces()).flatMap(found => found ?? [])
// All of 127/8 is this machine's, so the second address of it tells a listener on one address from a listener on all.
const otherAddress = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.2'
const hasIpv6Loopback = addresses.some(({ address }) => address === '::1')

test('binds to loopback alone, in both families, while anybody may connect, whatever host says', async () => {
  const broker = await start('--preset', 'test', '--port', '0', '--host', '0.0.0.0')
  const port = await broker.ready()
  expect(await answers('127.0.0.1', port)).toBe(true)
  expect(await answers(otherAddress, port)).toBe(false)
  const printed = broker.out.find(line => line.includes('listening'))
  if (hasIpv6Loopback) {
    expect(await answers('::1', port)).toBe(true)
    expect(printed).toBe(`INFO: tcp listening on 127.0.0.1 and [::1]:${port}`)
  } else expect(printed).toBe(`INFO: tcp listening on 127.0.0.1:${port}`)
})

test('a page from elsewhere does not get into a broker on loopback that anybody may use; those who are there are served all the same', async () => {
  const broker = await start('--preset', 'test', '--port', '0', '--set', 'websocket.port=0')
  const bystander = await mqtt.connectAsync(`mqtt://127.0.0.1:${await broker.ready()}`, { reconnectPeriod: 0 })
  onTestFinished(() => void bystander.end(true))
  let heard = 0
  bystander.on('message', () => void (heard += 1))
  await bystander.subscribeAsync('a')
  const [, port = ''] = await broker.line(/ws listening on .*:(\d+)/)
  const headers = [
    'Host: localhost',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: mqtt',
  ]
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  const answer = async (origin: string) => {
    const page = openSocket(Number(port), '127.0.0.1')
    onTestFinished(() => void page.destroy())
    page.write(['GET /mqtt HTTP/1.1', ...headers, key, `Origin: ${origin}`, '', ''].join('\r\n'))
    const [bytes] = await once(page, 'data')
    return String(bytes).slice(9, 12)
  }
  for (let i = 0; i < 50; i++) {
    expect(await answer('https://evil.example')).toBe('403')
    await bystander.publishAsync('a', 'x', { qos: 1 })
  }
  expect(await answer('http://localhost:3000')).toBe('101')
  expect(heard).toBe(50)
  await broker.line(/request for a WebSocket refused: .*websocket\.origins/)
})

test('binds to every address once allowAnonymous is said, and to one where host names it', async () => {
  const open = await start('--preset', 'test', '--port', '0', '--set', 'allowAnonymous=true')
  expect(await answers(otherAddress, await open.ready())).toBe(true)
  const named = await start('--preset', 'test', '--port', '0', '--set', 'allowAnonymous=true', '--host', otherAddress)
  const port = await named.ready()
  expect(await answers(otherAddress, port)).toBe(true)
  expect(await answers('127.0.0.1', port)).toBe(false)
})

test('names only addresses that it got: a machine without ::1 has a listener on 127.0.0.1', async () => {
  const config = `export default {
    preset: 'test',
    socket: { port: 0 },
    // 2001:db8:: is for examples, so no machine has it, as some have no ::1.
    plugins: [{ name: 'addresses', apply({ broker }) { broker.addressesFor = () => ['127.0.0.1', '2001:db8::1'] } }],
  }`
  const broker = new Command(built.path('presets/bin.js'), await folderWith({ 'mqttx.config.mjs': config }), [])
  const port = await broker.ready()
  expect(broker.out).toContain(`INFO: tcp listening on 127.0.0.1:${port}`)
})

test('prints one line for each listener', async () => {
  const broker = await start('--preset', 'test', '--set', 'allowAnonymous=true', '--set', 'socket=[{"port":0},{"port":0}]')
  await broker.ready()
  const ports = broker.out.slice(0, -1).map(line => /^INFO: tcp listening on 0\.0\.0\.0:(\d+)$/.exec(line)?.[1])
  expect(ports).toHaveLength(2)
  for (const port of ports) expect(await answers('127.0.0.1', Number(port))).toBe(true)
})

test('preset prod starts once it is said that anybody may connect, and logs for machines', async () => {
  const server = await RedisServer.start()
  onTestFinished(() => server.stop())
  const broker = await start(
    '--preset',
    'prod',
    '--port',
    '0',
    '--set',
    'metrics.port=0',
    '--set',
    'websocket.port=0',
    '--set',
    'allowAnonymous=true',
    '--set',
    // So many as any machine allows.
    'limits.maxConnections=100',
    '--set',
    'redis.acceptVolatile=true',
    '--set',
    `redis.url=${server.url}`,
  )
  const port = await broker.ready()
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 })
  await client.endAsync()
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
  const lines = broker.out.map(line => JSON.parse(line) as { level: number; msg: string })
  expect(lines.map(({ level }) => level)).toEqual(lines.map(() => 30))
  expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/^ready: /))
})

test('stays up without a listener, says that nobody can connect, and stops in good order', async () => {
  const broker = await start('--preset', 'test', '--set', 'socket=false')
  await broker.line(/ready: mqttx-broker/)
  expect(broker.out).toContainEqual(expect.stringMatching(/^WARN: no listener is open, so nobody can connect; turn on socket$/))
  broker.signal('SIGTERM')
  expect(await broker.ended()).toBe(0)
})

test('says in one line that an address is not this machine’s', async () => {
  // 203.0.113.0/24 is for examples.
  const broker = await start('--preset', 'test', '--port', '0', '--set', 'allowAnonymous=true', '--host', '203.0.113.1')
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual(['error: host: 203.0.113.1 is not an address of this machine; set host or socket.host to one that is'])
  expect(broker.out.filter(text => !text.startsWith('INFO'))).toEqual([])
})
