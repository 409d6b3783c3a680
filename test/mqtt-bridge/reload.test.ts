import { expect, test } from 'vitest'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { type BridgeConnectionInput, bridgeTo, connected, connectTo, type Side, side } from '../support/mqtt-bridge.ts'
import { freePort } from '../support/redis.ts'

// Goal: a config that is read again moves a connection, adds one or takes one out while messages flow, and loses none of those that were acknowledged.

type Bridge = Exclude<NonNullable<Config['mqttBridge']>, boolean>

function options(...connections: readonly (readonly [port: number, connection: Partial<BridgeConnectionInput>])[]): Bridge {
  return { connections: connections.flatMap(([port, connection]) => (bridgeTo(port, connection) as Bridge).connections!) }
}

function reload(here: Side, bridge: Bridge): Promise<boolean> {
  return here.running.reload('mqttBridge', bridge)
}

/** A session that keeps all that is published to `a/#`. */
async function keeper(port: number) {
  const values: { key: string; value: Buffer }[] = []
  const client = await connectTo(port, {
    clientId: 'keeper',
    clean: false,
    properties: { sessionExpiryInterval: 1000, receiveMaximum: 1000 },
  })
  client.on('message', (topic, value) => void values.push({ key: topic.split('/').at(-1)!, value }))
  await client.subscribeAsync('a/#', { qos: 2 })
  return values
}

test.each(['atLeastOnce', 'exactlyOnce'] as const)(
  'an address that changes amid messages, %s: the connection goes there, and each message is at one of the two',
  async delivery => {
    const [first, second] = [await side(), await side()]
    const topics = [{ filter: 'a/#', delivery }]
    const here = await side({ diskQueue: { path: await folderWith() }, mqttBridge: options([first.port, { topics }]) })
    await connected(here)
    const atFirst = await keeper(first.port)
    const atSecond = await keeper(second.port)
    let done = false
    const publishing = publishNumbers(here.port, 'one', 'a/one', 1000).then(() => (done = true))
    await eventually(() => done || atFirst.length > 200)
    // Another keep-alive alone connects anew to the same broker.
    expect(await reload(here, options([first.port, { topics, keepAlive: '30s' }]))).toBe(true)
    await eventually(() => here.figure('connects_total') === 2)
    expect(await reload(here, options([second.port, { topics }]))).toBe(true)
    await publishing
    await eventually(() => here.figure('waiting_messages') === 0)
    const all = (): { key: string; value: Buffer }[] => [...atFirst, ...atSecond]
    await eventually(() => new Set(all().map(({ value }) => value.toString())).size === 1000)
    expect(judgeNumbers(all(), ['one'], 1000)).toMatchObject({ lost: 0 })
  },
)

test('a connection is added, another taken out: what waited for it is on disk, and goes when it is named again', async () => {
  const [there, port] = [await side(), await freePort()]
  const heard = await there.hear('#')
  const site = [there.port, { name: 'site', topics: [{ filter: 'a/#' }] }] as const
  const far = [port, { name: 'far', topics: [{ filter: 'b/#', remotePrefix: 'far/' }] }] as const
  const here = await side({ diskQueue: { path: await folderWith() }, mqttBridge: options(far) })
  const client = await here.connect()
  for (let i = 0; i < 10; i++) await client.publishAsync('b/x', String(i), { qos: 1 })
  expect(here.figure('waiting_messages')).toBe(10)
  await reload(here, options(site))
  await connected(here)
  await client.publishAsync('a/x', '1', { qos: 1 })
  await client.publishAsync('b/x', 'nowhere', { qos: 1 })
  await eventually(() => heard.includes('a/x 1'))
  expect(here.figure('waiting_messages')).toBe(0)
  await reload(here, options(site, [there.port, { ...far[1], clientId: 'far' }]))
  await eventually(() => heard.length === 11)
  expect(heard.slice(1)).toEqual(Array.from({ length: 10 }, (_, i) => `far/b/x ${i}`))
})

test('what cannot be used changes nothing', async () => {
  const there = await side()
  const good = [there.port, { topics: [{ filter: 'a/#' }] }] as const
  const here = await side({ mqttBridge: options(good) })
  await connected(here)
  await expect(reload(here, options([there.port, { ...good[1], ssl: { enable: true, ca: '/nowhere/ca.crt' } }]))).rejects.toThrow(
    'mqttBridge.connections[0].ssl.ca: /nowhere/ca.crt cannot be read',
  )
  const heard = await there.hear('#')
  await (await here.connect()).publishAsync('a', '1', { qos: 1 })
  await eventually(() => heard.includes('a 1'))
  expect(here.figure('connects_total')).toBe(1)
})
