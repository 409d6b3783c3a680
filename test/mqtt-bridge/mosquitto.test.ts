import { expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { MosquittoServer } from '../support/mosquitto-server.ts'
import { bridgeTo, connected, connectTo, hear, side } from '../support/mqtt-bridge.ts'

test.each(['5', '3.1.1', '3.1'] as const)(
  'with a real mosquitto, both ways in MQTT %s: QoS and RETAIN are kept, nothing comes back',
  async version => {
    const mosquitto = await MosquittoServer.start()
    await (await connectTo(mosquitto.port)).publishAsync('site/before', '0', { qos: 1, retain: true })
    const topics = [{ filter: '#', direction: 'both', remotePrefix: 'site/' }] as const
    const here = await side({ mqttBridge: bridgeTo(mosquitto.port, { version, topics: [...topics] }) })
    await connected(here)
    const heardHere = await here.hear('#')
    await eventually(() => heardHere.includes('before 0 retained'))
    const heardThere = await hear(mosquitto.port, 'site/#')
    const [ours, theirs] = [await here.connect(), await connectTo(mosquitto.port)]
    for (const qos of [0, 1, 2] as const) await ours.publishAsync(`here/${qos}`, 'x', { qos, retain: true })
    for (const qos of [0, 1, 2] as const) await theirs.publishAsync(`site/there/${qos}`, 'y', { qos, retain: true })
    await eventually(() => heardHere.length >= 7 && heardThere.length >= 7)
    await ours.publishAsync('end', '1', { qos: 2 })
    await eventually(() => heardThere.includes('site/end 1'))
    await theirs.publishAsync('site/end', '2', { qos: 2 })
    await eventually(() => heardHere.includes('end 2'))
    const all = [0, 1, 2].flatMap(qos => [`here/${qos} x retained`, `there/${qos} y retained`])
    expect([...heardHere].sort()).toEqual([...all, 'before 0 retained', 'end 1', 'end 2'].sort())
    expect([...heardThere].sort()).toEqual([...all, 'before 0 retained', 'end 1', 'end 2'].map(line => `site/${line}`).sort())
  },
)

test.each([
  ['atLeastOnce', 'out'],
  ['atLeastOnce', 'in'],
  ['exactlyOnce', 'out'],
  ['exactlyOnce', 'in'],
] as const)(
  'mosquitto is ended and comes back amid messages, %s, %s: none is lost, and each arrives in order',
  async (delivery, direction) => {
    const mosquitto = await MosquittoServer.start()
    const here = await side({
      diskQueue: { path: await folderWith() },
      mqttBridge: bridgeTo(mosquitto.port, { topics: [{ filter: 'a/#', direction, delivery }] }),
    })
    await connected(here)
    const [from, to] = direction === 'out' ? [here.port, mosquitto.port] : [mosquitto.port, here.port]
    const values: { key: string; value: Buffer }[] = []
    const reader = await connectTo(to, {
      clientId: 'reader',
      clean: false,
      reconnectPeriod: 50,
      properties: { sessionExpiryInterval: 1000 },
    })
    reader.on('message', (topic, value) => void values.push({ key: topic.split('/').at(-1)!, value }))
    await reader.subscribeAsync('a/#', { qos: 2 })
    if (direction === 'in') await eventually(() => mosquitto.output.includes('Sending SUBACK to mqttx-'))
    const publishing = publishNumbers(from, 'one', 'a/one', 1000)
    await eventually(() => values.length > 200)
    await mosquitto.end()
    await eventually(() => here.figure('connected') === 0)
    await mosquitto.run()
    await publishing
    await eventually(() => new Set(values.map(({ value }) => value.toString())).size === 1000)
    expect(judgeNumbers(values, ['one'], 1000)).toMatchObject({ lost: 0, disordered: 0 })
  },
)

test('a mosquitto that bridges to us and a bridge of ours to it do not send in circles', async () => {
  const here = await side()
  const mosquitto = await MosquittoServer.start([
    'connection up',
    `address 127.0.0.1:${here.port}`,
    'topic # both 1',
    'bridge_protocol_version mqttv50',
    'notifications false',
  ])
  const second = await side({ mqttBridge: bridgeTo(mosquitto.port, { topics: [{ filter: '#', direction: 'both' }] }) })
  await connected(second)
  await eventually(() => here.running.broker.clients.size > 0)
  const [atHere, atSecond] = [await here.hear('#'), await second.hear('#')]
  await (await here.connect()).publishAsync('a', '1', { qos: 1 })
  await (await second.connect()).publishAsync('b', '2', { qos: 1 })
  await eventually(() => atHere.length >= 2 && atSecond.length >= 2)
  await (await here.connect()).publishAsync('end', '3', { qos: 1 })
  await eventually(() => atSecond.includes('end 3'))
  expect([...atHere].sort()).toEqual(['a 1', 'b 2', 'end 3'])
  expect([...atSecond].sort()).toEqual(['a 1', 'b 2', 'end 3'])
})
