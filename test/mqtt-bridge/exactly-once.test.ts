import { expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { judgeNumbers, numbered } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { bridgeTo, connectTo, type Side, side } from '../support/mqtt-bridge.ts'
import { freePort } from '../support/redis.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const once = { filter: 'a/#', delivery: 'exactlyOnce' } as const

/** Publishes numbers at QoS 2 by one client that comes again where its connection breaks. */
async function publishOnce(port: number, clientId: string, count: number): Promise<void> {
  const client = await connectTo(port, { clientId, reconnectPeriod: 20, clean: false, properties: { sessionExpiryInterval: 1000 } })
  for (let from = 0; from < count; from += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => client.publishAsync(`a/${clientId}`, numbered(clientId, from + index), { qos: 2 })),
    )
}

async function keeper(port: number, qos: 0 | 1 | 2 = 2) {
  const values: { key: string; value: Buffer }[] = []
  const client = await connectTo(port, { clientId: 'keeper', clean: false, properties: { sessionExpiryInterval: 1000 } })
  client.on('message', (topic, value) => void values.push({ key: topic.split('/').at(-1)!, value }))
  await client.subscribeAsync('a/#', { qos })
  return values
}

const up = (here: Side) => eventually(() => here.figure('connected') > 0)

test.each([
  ['out', '5'],
  ['out', '3.1.1'],
  ['in', '5'],
  ['in', '3.1.1'],
  ['both', '5'],
] as const)(
  'each message of QoS 2 arrives once, in order, though the connection breaks again and again: %s, MQTT %s',
  async (direction, version) => {
    const there = await side()
    const proxy = await TcpProxy.start(there.port)
    const here = await side({ mqttBridge: bridgeTo(proxy.port, { version, topics: [{ ...once, direction }] }) })
    await up(here)
    await eventually(() => direction === 'out' || there.running.broker.totals.subscriptions > 0)
    const [from, to] = direction === 'in' ? [there, here] : [here, there]
    const values = await keeper(to.port)
    const echoes = direction === 'both' ? await keeper(from.port) : []
    let done = false
    const publishing = publishOnce(from.port, 'one', 1000).then(() => (done = true))
    for (let round = 0; round < 6 && !done; round++) {
      const before = values.length
      await eventually(() => done || values.length > before + 20)
      proxy.cut('refused')
      await eventually(() => here.figure('connected') === 0)
      proxy.heal()
      await up(here)
    }
    await publishing
    await eventually(() => values.length >= 1000)
    await eventually(() => here.figure('waiting_messages') === 0)
    expect(judgeNumbers(values, ['one'], 1000)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
    if (direction === 'both') {
      await eventually(() => echoes.length >= 1000)
      expect(judgeNumbers(echoes, ['one'], 1000)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
    }
    await proxy.stop()
  },
)

test('what waits is in the session store, and goes on after a restart of either broker', async () => {
  const [port, herePath, therePath] = [await freePort(), await folderWith(), await folderWith()]
  const config = { preset: 'standalone', admin: false, disk: { path: herePath }, mqttBridge: bridgeTo(port, { topics: [once] }) } as const
  const first = await side(config)
  await eventually(() => first.running.broker.sessionOf('bridge:site:once')?.client === null)
  await publishOnce(first.port, 'one', 200)
  await eventually(() => first.figure('waiting_messages') === 200)
  await first.stop()
  const thereConfig = { preset: 'standalone', admin: false, disk: { path: therePath }, socket: { port } } as const
  const there = await side(thereConfig)
  await keeper(there.port)
  await there.stop()
  const again = await side(thereConfig)
  const values = await keeper(again.port)
  await side(config)
  await eventually(() => values.length >= 200)
  expect(judgeNumbers(values, ['one'], 200)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
})

test('one that the other broker refuses is parked, and the others go on', async () => {
  const there = await side({
    topicSecurity: {
      rules: [
        { deny: 'publish', topics: ['a/no'] },
        { allow: 'all', topics: ['#'] },
      ],
    },
  })
  const here = await side({ diskQueue: { path: await folderWith() }, mqttBridge: bridgeTo(there.port, { topics: [once] }) })
  await up(here)
  const heard = await there.hear('a/#')
  const client = await here.connect()
  await client.publishAsync('a/no', '1', { qos: 2 })
  await client.publishAsync('a/yes', '2', { qos: 2 })
  await eventually(() => heard.length === 1 && here.figure('parked_messages') === 1)
  expect(heard).toEqual(['a/yes 2'])
})

test('the bridge is a client of this broker that no authentication keeps out, and that a rule taken out of the config unsubscribes', async () => {
  const [path, there] = [await folderWith({ users: '' }), await side()]
  const config = { preset: 'standalone', admin: false, disk: { path }, authFile: { path: `${path}/users` } } as const
  const first = await side({ ...config, mqttBridge: bridgeTo(there.port, { topics: [once, { filter: 'b', delivery: 'exactlyOnce' }] }) })
  await up(first)
  const sessionOf = ({ running }: Side) => running.broker.sessionOf('bridge:site:once')!
  await eventually(() => sessionOf(first).subscriptions.size === 2)
  await first.stop()
  const second = await side({ ...config, mqttBridge: bridgeTo(there.port, { topics: [once] }) })
  await up(second)
  await eventually(() => [...sessionOf(second).subscriptions.keys()].join() === 'a/#')
})
