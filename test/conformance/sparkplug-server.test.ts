import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { departure, startOnSocket } from '../interop/mosquitto.ts'
import { connect } from '../interop/mqtt-js.ts'
import { bdSeq, decodePayload, encodePayload } from '../support/sparkplug.ts'

// Goal: each assertion that Sparkplug 3.0 makes of a compliant and of an aware MQTT server (chapter 10) is shown over real sockets, by a client and a protobuf implementation that are not ours.
// The assertion's id stands in the title.

const versions: [string, IClientOptions][] = [
  ['3.1.1', { protocolVersion: 4 }],
  ['5', { protocolVersion: 5 }],
]

const start = () => startOnSocket({ sparkplug: true })
type Broker = Awaited<ReturnType<typeof start>>

const namespace = 'spBv1.0/plant'
const certificates = `$sparkplug/certificates/${namespace}`

/** An edge node as the specification wants it: its NDEATH is its will, and it publishes NBIRTH when it is connected. */
async function edgeNode(broker: Broker, version: IClientOptions, session: number, clientId = 'edge'): Promise<MqttClient> {
  const payload = encodePayload({ timestamp: Date.now() - 86_400_000, metrics: [bdSeq(session)] })
  const will = { topic: `${namespace}/NDEATH/edge`, payload, qos: 1 as const, retain: false }
  const { client } = await connect(broker, { ...version, clientId, will })
  await client.publishAsync(`${namespace}/NBIRTH/edge`, birth(session), { qos: 0 })
  return client
}

const birth = (session: number) => encodePayload({ timestamp: Date.now(), seq: 0, metrics: [bdSeq(session)] })

/** The births are QoS 0; an acknowledgement behind them says that the broker is through with them. */
const through = (client: MqttClient) => client.publishAsync(`${namespace}/NDATA/edge`, encodePayload({ seq: 9 }), { qos: 1 })

async function hostApplication(broker: Broker, version: IClientOptions, filter: string) {
  const host = await connect(broker, version)
  await host.client.subscribeAsync(filter, { qos: 1 })
  return host
}

const shown = ({ topic, payload, qos, retain }: IPublishPacket) => [topic, String(payload), qos, retain]

describe.each(versions)('an MQTT server for Sparkplug 3.0, MQTT %s', (_name, version) => {
  test.each([{ qos: 0 }, { qos: 1 }] as const)(
    'publishes and subscribes at QoS $qos [tck-id-conformance-mqtt-qos$qos]',
    async ({ qos }) => {
      const broker = await start()
      const reader = await connect(broker, version)
      expect((await reader.client.subscribeAsync(`${namespace}/#`, { qos }))[0]?.qos).toBe(qos)
      const writer = await connect(broker, version)
      for (const type of ['NDATA', 'DDATA', 'NCMD']) await writer.client.publishAsync(`${namespace}/${type}/edge`, type, { qos })
      expect((await reader.inbox.first(3)).map(shown)).toEqual(
        ['NDATA', 'DDATA', 'NCMD'].map(type => [`${namespace}/${type}/edge`, type, qos, false]),
      )
    },
  )

  test.each([
    [0, false],
    [0, true],
    [1, false],
    [1, true],
  ] as const)('sends wills of QoS %i, retain %s [tck-id-conformance-mqtt-will-messages]', async (qos, retain) => {
    const broker = await start()
    const topic = 'spBv1.0/STATE/host'
    const watcher = await hostApplication(broker, version, 'spBv1.0/STATE/#')
    const host = await connect(broker, { ...version, will: { topic, payload: Buffer.from('{"online":false}'), qos, retain } })
    const leaving = await connect(broker, { ...version, will: { topic: 'spBv1.0/STATE/other', payload: Buffer.from('no'), qos, retain } })
    // A client that says goodbye has no will.
    await leaving.client.endAsync()
    host.client.stream.destroy()
    expect((await watcher.inbox.first(1)).map(shown)).toEqual([[topic, '{"online":false}', qos, false]])
    const late = await hostApplication(broker, version, 'spBv1.0/STATE/#')
    await late.client.publishAsync('spBv1.0/STATE/end', '', { qos: 1 })
    const found = (await late.inbox.first(retain ? 2 : 1)).map(shown)
    expect(found.filter(([, payload]) => payload !== '')).toEqual(retain ? [[topic, '{"online":false}', qos, true]] : [])
  })

  test('keeps what has the retain flag, replaces it and takes it away [tck-id-conformance-mqtt-retained]', async () => {
    const broker = await start()
    const host = await connect(broker, version)
    const say = (name: string, text: string) => host.client.publishAsync(`spBv1.0/STATE/${name}`, text, { qos: 1, retain: true })
    await say('a', 'off')
    await say('a', 'on')
    await say('b', 'on')
    await say('b', '')
    await host.client.publishAsync('spBv1.0/STATE/c', 'not kept', { qos: 1 })
    const late = await hostApplication(broker, version, 'spBv1.0/STATE/+')
    await say('end', 'end')
    expect((await late.inbox.first(2)).map(shown)).toEqual([
      ['spBv1.0/STATE/a', 'on', 1, true],
      ['spBv1.0/STATE/end', 'end', 1, false],
    ])
  })

  test('keeps the last NBIRTH and DBIRTH, which have no retain flag, at their certificates’ topics, retained [tck-id-conformance-mqtt-aware-store] [tck-id-conformance-mqtt-aware-nbirth-mqtt-topic] [tck-id-conformance-mqtt-aware-nbirth-mqtt-retain] [tck-id-conformance-mqtt-aware-dbirth-mqtt-topic] [tck-id-conformance-mqtt-aware-dbirth-mqtt-retain]', async () => {
    const broker = await start()
    const node = await edgeNode(broker, version, 1)
    await node.publishAsync(`${namespace}/DBIRTH/edge/pump`, 'first birth of the pump')
    await node.publishAsync(`${namespace}/NBIRTH/edge`, birth(2))
    await node.publishAsync(`${namespace}/DBIRTH/edge/pump`, 'last birth of the pump')
    await node.publishAsync(`${namespace}/DBIRTH/edge/valve`, 'birth of the valve')
    await node.publishAsync(`${namespace}/DDATA/edge/pump`, 'a value')
    await through(node)
    const host = await hostApplication(broker, version, `${certificates}/#`)
    const found = await host.inbox.first(3)
    expect(found.every(({ retain }) => retain)).toBe(true)
    const byTopic = new Map(found.map(({ topic, payload }) => [topic, payload as Buffer]))
    expect(decodePayload(byTopic.get(`${certificates}/NBIRTH/edge`)!).metrics).toEqual([bdSeq(2)])
    expect(String(byTopic.get(`${certificates}/DBIRTH/edge/pump`))).toBe('last birth of the pump')
    expect(String(byTopic.get(`${certificates}/DBIRTH/edge/valve`))).toBe('birth of the valve')
    // The birth itself is not retained.
    const usual = await hostApplication(broker, version, 'spBv1.0/#')
    await through(node)
    expect((await usual.inbox.first(1))[0]!.topic).toBe(`${namespace}/NDATA/edge`)
  })

  test('a birth reaches those who wait for certificates, bytes as they were [tck-id-conformance-mqtt-aware-store]', async () => {
    const broker = await start()
    const host = await hostApplication(broker, version, '$sparkplug/certificates/#')
    const bytes = Buffer.from([0, 255, 8, 1, 0xc3, 0x28])
    const { client } = await connect(broker, version)
    await client.publishAsync(`${namespace}/NBIRTH/edge`, bytes)
    const [got] = await host.inbox.first(1)
    expect([got!.topic, got!.payload]).toEqual([`${certificates}/NBIRTH/edge`, bytes])
  })

  test('an NDEATH has the time at which it is sent, and nothing else of it changes [tck-id-conformance-mqtt-aware-ndeath-timestamp]', async () => {
    const broker = await start()
    const host = await hostApplication(broker, version, `${namespace}/NDEATH/+`)
    const node = await edgeNode(broker, version, 7)
    await through(node)
    const gone = departure(broker, 'edge')
    const before = Date.now()
    node.stream.destroy()
    await gone
    const [got] = await host.inbox.first(1)
    const { timestamp, ...others } = decodePayload(got!.payload as Buffer)
    expect(others).toEqual({ metrics: [bdSeq(7)] })
    expect(timestamp).toBeGreaterThanOrEqual(before)
    expect(timestamp).toBeLessThanOrEqual(Date.now())
  })
})

test('is a compliant server as well as an aware one [tck-id-conformance-mqtt-aware-basic]', async () => {
  // All tests of this file that name an assertion of a compliant server run with the plugin: here, that it changes nothing for what is none of Sparkplug's.
  const broker = await start()
  const { client, inbox } = await connect(broker, { protocolVersion: 5 })
  await client.subscribeAsync(['#', '$sparkplug/#'], { qos: 2 })
  const topics = [
    'spBv1.0',
    'spBv1.0/plant/NBIRTH',
    'spBv1.0/plant/NBIRTH/a/b',
    'spBv1.0/plant/DBIRTH/a',
    'spBv2.0/plant/NBIRTH/a',
    'x/NBIRTH/a/b',
  ]
  for (const topic of topics) await client.publishAsync(topic, 'as it came', { qos: 2 })
  expect(await inbox.texts(topics.length)).toEqual(topics.map(topic => `${topic} as it came`))
  expect(broker.broker.services.get('retained').size).toBe(0)
})
