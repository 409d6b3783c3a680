import mqtt from 'mqtt'
import { expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from './command.ts'

const built = beforeAllBuilt()

async function start(preset: string, ...sets: string[]): Promise<Command> {
  const args = ['--preset', preset, '--port', '0', ...sets.flatMap(set => ['--set', set])]
  return new Command(built.path('presets/bin.js'), await folderWith(), args)
}

const dial = (port: number, protocolVersion: 4 | 5 = 5) => mqtt.connectAsync({ port, protocolVersion, reconnectPeriod: 0 })

test.each([
  [4, 3],
  [5, 0x97],
] as const)('--set limits.… turns a limit on in any preset: MQTT %i', async (version, code) => {
  const broker = await start('test', 'limits.maxConnectionsPerAddress=1')
  const port = await broker.ready()
  const client = await dial(port, version)
  await expect(dial(port, version)).rejects.toMatchObject({ code })
  await broker.line(/WARN: limits: connections are refused: too many connections from this address .*"limit":"connectionsPerAddress"/)
  await client.endAsync()
})

test('a rate over the command: messages above it are refused with its reason', async () => {
  const broker = await start('test', 'limits.messagesPerSecond=1', 'limits.messageBurst=2', 'limits.overRate=refuse')
  const client = await dial(await broker.ready())
  await client.publishAsync('a', '1', { qos: 1 })
  await client.publishAsync('a', '2', { qos: 1 })
  await expect(client.publishAsync('a', '3', { qos: 1 })).rejects.toMatchObject({ code: 0x97 })
  await client.endAsync()
})

test('a list of topic rates is JSON', async () => {
  const broker = await start('test', 'limits.topicRates=[{"filter":"slow/#","messagesPerSecond":1,"messageBurst":1,"overRate":"refuse"}]')
  const client = await dial(await broker.ready())
  for (const topic of ['slow/a', 'fast', 'fast']) await client.publishAsync(topic, '', { qos: 1 })
  await expect(client.publishAsync('slow/b', '', { qos: 1 })).rejects.toMatchObject({ code: 0x97 })
  await client.endAsync()
})

test('preset prod has every limit on, and null turns one off', async () => {
  const check = new Command(built.path('presets/bin.js'), await folderWith(), [
    'check',
    '--preset',
    'prod',
    '--set',
    'limits.maxKeepAlive=null',
    '--set',
    'allowAnonymous=true',
  ])
  expect(await check.ended()).toBe(0)
  const line = (name: string) => check.out.find(text => text.includes(`${name} `) || text.includes(`${name}:`))
  for (const name of ['maxConnections', 'maxConnectionsPerAddress', 'maxConnectionsPerUser', 'connectsPerSecond', 'bytesPerSecond']) {
    expect(line(name), name).toMatch(/preset prod/)
  }
  expect(line('maxKeepAlive')).toMatch(/null.*--set/)
  const broker = await start('prod', 'allowAnonymous=true', 'metrics.port=0', 'websocket.port=0')
  const client = await dial(await broker.ready())
  const filters = Array.from({ length: 1001 }, (_, i) => `f/${i}`)
  const refused = await client.subscribeAsync(filters).catch((error: { packet: { granted: number[] } }) => error.packet.granted)
  expect([...new Set(refused as number[])]).toEqual([0, 0x97])
  await client.endAsync()
})

test.each([
  ['limits.maxConections=5', /^error: limits\.maxConections: unknown; did you mean limits\.maxConnections\?/],
  ['limits.maxConnections=0', /^error: limits\.maxConnections: must be an integer, at least 1, or null, got 0/],
  ['limits.packetTimeout=soon', /^error: limits\.packetTimeout: must be .*'60s'.*got "soon"/],
  ['limits.overRate=slow', /^error: limits\.overRate: must be .*pause.*got "slow"/],
  ['limits.messageBurst=5', /^error: limits\.messageBurst: means nothing without limits\.messagesPerSecond; set that too/],
  [
    'limits.topicRates=[{"filter":"a/#/b","messagesPerSecond":1}]',
    /^error: limits\.topicRates\[0\]\.filter: "a\/#\/b" is not a topic filter/,
  ],
  ['limits.topicRates=[{"filter":"a"}]', /^error: limits\.topicRates\[0\]\.messagesPerSecond: required/],
  ['limits.memory.pauseAt=50', /^error: limits\.memory\.pauseAt: 50 is below limits\.memory\.refuseAt, 75; each stage/],
  ['limits.memory.max=lots', /^error: limits\.memory\.max: must be .*auto.*got "lots"/],
])('%s ends with 1 and one line that has the cure', async (set, line) => {
  const broker = await start('test', set)
  expect(await broker.ended()).toBe(1)
  expect(broker.errors).toEqual([expect.stringMatching(line)])
  expect(broker.out.filter(text => !text.startsWith('INFO'))).toEqual([])
})
