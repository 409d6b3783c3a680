import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { MessageRefusedError, StoreAwayError } from '../../core/sessions/session-store.ts'
import type { RetainedStore } from '../../plugins/kit/services/retained.ts'
import { MemoryRetained } from '../../plugins/memory/memory-retained.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { createBroker, definePlugin } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import type { TestClient } from '../support/client.ts'
import { startNodes } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { keptLog } from '../support/log.ts'
import { bdSeq, decodePayload, encodePayload } from '../support/sparkplug.ts'

type Holder = Pick<TestBroker, 'broker'>

const certificates = '$sparkplug/certificates/'
const nbirth = 'spBv1.0/plant/NBIRTH/edge'
const ndeath = 'spBv1.0/plant/NDEATH/edge'

const figure = ({ broker }: Holder, name: string) => [...broker.figures].find(one => one.name === `sparkplug_${name}`)?.read()[0]?.value

/** Topic and payload of each certificate in the store, without what all begin with. */
async function kept({ broker }: Holder): Promise<string[]> {
  const cursor = broker.services.get('retained').match(`${certificates}#`)
  const rows: string[] = []
  for (let done = false; !done; ) {
    const page = await cursor.next(100)
    rows.push(...page.messages.map(({ topic, payload }) => `${topic.slice(certificates.length)} ${payload}`))
    done = page.done
  }
  return rows.sort()
}

const publish = (client: TestClient, topic: string, payload: string | Buffer) => client.publish(topic, payload, { qos: 1 })

test('only the broker writes certificates: no client, no will, no rewritten topic name', async () => {
  const broker = await startBroker({ sparkplug: true, rewrite: { rules: [{ filter: 'forged/#', to: `${certificates}{topic}` }] } })
  const client = await broker.connect({ version: 5 })
  for (const topic of [`${certificates}${nbirth}`, `${certificates}x`, 'forged/a'])
    expect([topic, (await client.publish(topic, 'false', { qos: 1, retain: true }))!.reasonCode]).toEqual([topic, ReasonCode.NotAuthorized])
  const dying = await broker.connect({ will: { topic: certificates + nbirth, payload: Buffer.from('false'), retain: true } })
  dying.drop()
  await settled()
  expect(await kept(broker)).toEqual([])
  expect(broker.broker.counters.dropped.refused).toBe(4)
  // Reading is for whoever may.
  await client.subscribe(`${certificates}#`, 1)
})

test('a birth is acknowledged when its certificate is kept, and the last of many that come at once stands', async () => {
  const broker = await startBroker({ sparkplug: true })
  const client = await broker.connect({ version: 5 })
  for (let i = 0; i < 200; i++) client.publish(nbirth, `birth ${i}`)
  expect(await publish(client, nbirth, 'last')).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
  expect(await kept(broker)).toEqual([`${nbirth} last`])
  expect(figure(broker, 'births_total')).toBe(201)
  expect(figure(broker, 'certificates')).toBe(1)
})

test('while subscribers are looked up slowly and in any order, the last birth stands all the same', async () => {
  const lookups: (() => void)[] = []
  const slowly = definePlugin({
    name: 'slowly',
    apply: ({ hooks }) =>
      hooks.onMatch.tapPromise('slowly', async ({ topic }) => {
        if (topic.startsWith(certificates)) await new Promise<void>(resolve => lookups.push(resolve))
      }),
  })
  const broker = await startBroker({ sparkplug: true, plugins: [slowly()] })
  const client = await broker.connect({ version: 5 })
  const acks = ['first', 'second', 'third', 'fourth'].map(text => publish(client, nbirth, text))
  await eventually(() => lookups.length === 1)
  expect(await kept(broker)).toEqual([])
  lookups.shift()!()
  // The second and third are older than the last one, and nobody needs them.
  await eventually(() => lookups.length === 1)
  expect(await kept(broker)).toEqual([`${nbirth} first`])
  lookups.shift()!()
  await Promise.all(acks)
  expect(await kept(broker)).toEqual([`${nbirth} fourth`])
  expect(lookups).toEqual([])
})

test('a certificate has the birth’s QoS and properties, and stands beyond the birth’s own expiry', async () => {
  const broker = await startBroker({ sparkplug: true, mqtt: { topicAliasMaximum: 5 } })
  const client = await broker.connect({ version: 5 })
  const properties = { messageExpiry: 10, contentType: 'application/x', userProperties: [['a', 'b']] as [string, string][], topicAlias: 1 }
  await client.publish(nbirth, 'birth', { qos: 1, properties })
  await broker.advance(60_000)
  const host = await broker.connect({ version: 5 })
  await host.subscribe(`${certificates}#`, 2)
  const { qos, retain, properties: got } = await host.receive()
  expect([qos, retain, got]).toEqual([1, true, { contentType: 'application/x', userProperties: [['a', 'b']] }])
})

test('an empty birth, and an operator, take a certificate away', async () => {
  const broker = await startBroker({ sparkplug: true })
  const client = await broker.connect({ version: 5 })
  await publish(client, nbirth, 'birth')
  await publish(client, 'spBv1.0/plant/DBIRTH/edge/pump', 'birth')
  expect(figure(broker, 'certificates')).toBe(2)
  await publish(client, 'spBv1.0/plant/DBIRTH/edge/pump', '')
  expect(await kept(broker)).toEqual([`${nbirth} birth`])
  await broker.running.broker.operate({ name: 'test', via: 'program' }, 'retained rm', { topic: certificates + nbirth })
  expect(await kept(broker)).toEqual([])
  expect([figure(broker, 'certificates'), figure(broker, 'certificate_bytes')]).toEqual([0, 0])
})

test('there are at most as many certificates as certificatesMax, and those that are there go on changing', async () => {
  const broker = await startBroker({ sparkplug: { certificatesMax: 2 } })
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('spBv1.0/#', 0)
  const client = await broker.connect({ version: 5 })
  for (const device of ['a', 'b', 'c', 'a']) await publish(client, `spBv1.0/plant/DBIRTH/edge/${device}`, `birth of ${device}`)
  // It is delivered all the same.
  expect(await reader.payloads()).toEqual(['birth of a', 'birth of b', 'birth of c', 'birth of a'])
  expect(await kept(broker)).toEqual(['a', 'b'].map(device => `spBv1.0/plant/DBIRTH/edge/${device} birth of ${device}`))
  expect(broker.broker.counters.limited.birthCertificates).toBe(1)
  await broker.running.reload('sparkplug', { certificatesMax: 3 })
  await publish(client, 'spBv1.0/plant/DBIRTH/edge/c', 'birth of c')
  expect(await kept(broker)).toHaveLength(3)
})

test('a birth that has no room does not leave an older one in its place', async () => {
  const broker = await startBroker({ sparkplug: { bytesMax: 2048 } })
  const client = await broker.connect({ version: 5 })
  await publish(client, nbirth, 'small')
  expect(await kept(broker)).toEqual([`${nbirth} small`])
  await publish(client, nbirth, 'x'.repeat(2048))
  expect(await kept(broker)).toEqual([])
  expect(broker.broker.counters.limited.birthCertificates).toBe(1)
  const long = `spBv1.0/plant/NBIRTH/${'x'.repeat(65_510)}`
  await publish(client, long, 'birth')
  expect(broker.broker.counters.limited.birthCertificates).toBe(2)
  expect(figure(broker, 'certificate_bytes')).toBe(0)
})

test('what other hands have put into the store, or taken away, is counted when there seems to be no room', async () => {
  const broker = await startBroker({ sparkplug: { certificatesMax: 3 } })
  const client = await broker.connect({ version: 5 })
  const birthOf = (device: string) => publish(client, `spBv1.0/plant/DBIRTH/edge/${device}`, 'birth')
  for (const device of ['a', 'b', 'c']) await birthOf(device)
  // Past the plugin, as an expiry or another node would.
  const store = broker.broker.services.get('retained')
  const { messages } = await store.match(`${certificates}#`).next(10)
  for (const message of messages.slice(0, 2)) {
    message.payload = Buffer.alloc(0)
    await store.set(message)
  }
  await broker.advance(60_000)
  await birthOf('d')
  await eventually(() => figure(broker, 'certificates') === 1)
  await birthOf('d')
  expect(await kept(broker)).toHaveLength(2)
})

test('a birth is not acknowledged where the store does not keep its certificate, and is when it does again', async () => {
  let fault: Error | null = null
  const store = definePlugin({
    name: 'testStore',
    provides: ['sessions', 'retained'],
    apply({ services, clock }) {
      const retained = new MemoryRetained(clock)
      const failing: RetainedStore = {
        set: message => (fault !== null && message.topic.startsWith(certificates) ? Promise.reject(fault) : retained.set(message)),
        match: filter => retained.match(filter),
        get size() {
          return retained.size
        },
      }
      services.provide('sessions', new MemorySessions(clock), 'testStore')
      services.provide('retained', failing, 'testStore')
    },
  })
  const broker = await startBroker({ memory: false, plugins: [store()], sparkplug: true })
  const birth = (client: TestClient) => client.publish(nbirth, 'birth', { qos: 1 })
  fault = new MessageRefusedError('too large for this store')
  const client = await broker.connect({ version: 5 })
  // The verdict is about this message: the client goes on.
  expect((await birth(client))!.reasonCode).toBeGreaterThanOrEqual(0x80)
  expect(await client.publish('other', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
  fault = new StoreAwayError('the store is away')
  // It is closed, so that it sends the message again.
  await expect(birth(client)).rejects.toThrow()
  expect(await kept(broker)).toEqual([])
  fault = null
  await birth(await broker.connect({ version: 5 }))
  expect(await kept(broker)).toEqual([`${nbirth} birth`])
})

test('after a restart the certificates are there, and are counted', async () => {
  const path = await folderWith()
  const start = async () => startBroker({ memory: false, disk: { path }, sparkplug: { certificatesMax: 150 } })
  const before = await start()
  const client = await before.connect({ version: 5 })
  for (let i = 0; i < 150; i++) await publish(client, `spBv1.0/plant/DBIRTH/edge/${i}`, `birth ${i}`)
  await before.running.stop()
  const after = await start()
  await eventually(() => figure(after, 'certificates') === 150)
  expect(await kept(after)).toHaveLength(150)
  const host = await after.connect({ version: 5 })
  await host.subscribe(`${certificates}spBv1.0/+/DBIRTH/+/149`, 1)
  expect((await host.receive()).payload.toString()).toBe('birth 149')
  await publish(await after.connect({ version: 5 }), nbirth, 'one more')
  expect(after.broker.counters.limited.birthCertificates).toBe(1)
})

test('when an edge node is taken over its NDEATH says now, and its certificate is that of the last birth', async () => {
  const broker = await startBroker({ sparkplug: true })
  const host = await broker.connect({ version: 5 })
  await host.subscribe('spBv1.0/#', 1)
  const will = { topic: ndeath, payload: encodePayload({ timestamp: 1, metrics: [bdSeq(1)] }), qos: 1 as const }
  const old = await broker.connect({ version: 5, clientId: 'edge', will })
  await publish(old, nbirth, 'first')
  await broker.advance(5000)
  const taker = await broker.connect({ version: 5, clientId: 'edge' })
  await publish(taker, nbirth, 'second')
  const got = [await host.receive(), await host.receive(), await host.receive()]
  expect(got.map(({ topic }) => topic)).toEqual([nbirth, ndeath, nbirth])
  expect(decodePayload(got[1]!.payload)).toEqual({ timestamp: Math.floor(broker.clock.moment().wall), metrics: [bdSeq(1)] })
  expect(await kept(broker)).toEqual([`${nbirth} second`])
  expect(figure(broker, 'ndeaths_total')).toBe(1)
})

test('an NDEATH with a broken payload goes out as it is, and is counted', async () => {
  const broker = await startBroker({ sparkplug: true })
  const host = await broker.connect()
  await host.subscribe('spBv1.0/#')
  const edge = await broker.connect({ will: { topic: ndeath, payload: Buffer.from('gone') } })
  edge.drop()
  expect((await host.receive()).payload.toString()).toBe('gone')
  expect([figure(broker, 'unread_ndeaths_total'), figure(broker, 'ndeaths_total')]).toEqual([1, 0])
})

test('ndeathTimestamp: false leaves NDEATH alone, also while the broker runs', async () => {
  const broker = await startBroker({ sparkplug: { ndeathTimestamp: false } })
  const host = await broker.connect()
  await host.subscribe(ndeath)
  const payload = encodePayload({ timestamp: 5, metrics: [bdSeq(0)] })
  const edge = await broker.connect()
  await publish(edge, ndeath, payload)
  expect((await host.receive()).payload).toEqual(payload)
  await broker.running.reload('sparkplug', { ndeathTimestamp: true })
  await publish(edge, ndeath, payload)
  expect(decodePayload((await host.receive()).payload).timestamp).toBe(Math.floor(broker.clock.moment().wall))
})

test('the log names the client of what was not kept, once in ten seconds', async () => {
  const { lines, plugin } = keptLog()
  const broker = await startBroker({ sparkplug: { certificatesMax: 1 }, log: false, plugins: [plugin] })
  const edge = await broker.connect({ version: 5, clientId: 'edge-7' })
  const births = async (from: number) => {
    for (let i = from; i < from + 10; i++) await publish(edge, `spBv1.0/plant/DBIRTH/edge/${i}`, 'birth')
  }
  await births(0)
  await broker.advance(10_000)
  await births(10)
  const said = lines.filter(({ message }) => message.startsWith('sparkplug:'))
  expect(said.map(({ level, fields }) => [level, fields])).toEqual([
    ['warn', { clientId: 'edge-7', topic: 'spBv1.0/plant/DBIRTH/edge/1', times: 1 }],
    ['warn', { clientId: 'edge-7', topic: 'spBv1.0/plant/DBIRTH/edge/10', times: 9 }],
  ])
  expect(said[0]!.message).toContain('raise sparkplug.certificatesMax')
  expect(broker.broker.counters.limited.birthCertificates).toBe(19)
})

test('without the plugin retain it does not start, and says the cure', async () => {
  await expect(createBroker({ preset: 'test', socket: { port: 0 }, retain: false, sparkplug: true }).start()).rejects.toThrow(
    'sparkplug: the certificates are retained messages; turn the plugin retain on: retain: {}',
  )
})

test('clients with a mount point find the certificates of their own part of the tree, and no others', async () => {
  const broker = await startBroker({ sparkplug: true, mountpoint: { prefix: 'tenants/{username}/', except: ['operator'] } })
  const as = (username: string, clientId: string, more = {}) => broker.connect({ version: 5, username, clientId, ...more })
  const durable = { cleanStart: false, properties: { sessionExpiry: 3600 } }
  const application = await as('acme', 'application', durable)
  await application.subscribe(`${certificates}#`, 1)
  await application.subscribe('#', 1)
  const member = await as('acme', 'member')
  await member.subscribe(`$share/g/${certificates}spBv1.0/+/NBIRTH/#`, 1)
  const stranger = await as('other', 'stranger')
  await stranger.subscribe(`${certificates}#`, 1)
  await stranger.subscribe('$sparkplug/#', 1)
  const will = { topic: ndeath, payload: encodePayload({ timestamp: 1, metrics: [bdSeq(1)] }), qos: 1 as const }
  const edge = await as('acme', 'edge', { will })
  expect(await publish(edge, nbirth, 'birth')).toMatchObject({ reasonCode: 0 })
  const got = [await application.receive(), await application.receive()].map(({ topic, payload }) => `${topic} ${payload}`)
  expect(got.sort()).toEqual([`${certificates}${nbirth} birth`, `${nbirth} birth`])
  expect((await member.receive()).topic).toBe(certificates + nbirth)
  expect(await kept(broker)).toEqual([`tenants/acme/${nbirth} birth`])
  edge.drop()
  const death = await application.receive()
  expect([death.topic, decodePayload(death.payload).timestamp]).toEqual([ndeath, Math.floor(broker.clock.moment().wall)])
  // A session that is resumed, and one that comes later.
  application.drop()
  await settled()
  await publish(await as('acme', 'edge'), nbirth, 'again')
  const again = await as('acme', 'application', durable)
  expect([(await again.receive()).topic, (await again.receive()).topic].sort()).toEqual([certificates + nbirth, nbirth])
  const late = await as('acme', 'late')
  await late.subscribe(`${certificates}#`, 1)
  expect(await late.receive()).toMatchObject({ topic: certificates + nbirth, retain: true })
  // Who has no mount point sees all.
  const operator = await as('operator', 'operator')
  await operator.subscribe(`${certificates}#`, 1)
  expect((await operator.receive()).topic).toBe(`${certificates}tenants/acme/${nbirth}`)
  expect(await stranger.payloads()).toEqual([])
  for (const forged of [certificates + nbirth, `${certificates}tenants/acme/${nbirth}`])
    expect(await late.publish(forged, 'false', { qos: 1, retain: true })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
})

test('in a cluster a birth at one node is a certificate at all', async () => {
  const [a, b] = await startNodes(2, { sparkplug: true })
  const host = await b.connect()
  await host.subscribe(`${certificates}#`, 1)
  await a.wants(certificates + nbirth, b)
  const edge = await a.connect()
  await publish(edge, nbirth, 'first')
  expect((await host.receive()).payload.toString()).toBe('first')
  // The edge node comes back at the other node.
  await publish(await b.connect(), nbirth, 'second')
  expect((await host.receive()).payload.toString()).toBe('second')
  for (const node of [a, b]) {
    const late = await node.connect()
    await late.subscribe(`${certificates}#`, 1)
    expect((await late.receive()).payload.toString()).toBe('second')
  }
  // A message of another node is nobody's birth here.
  expect([figure(a, 'births_total'), figure(b, 'births_total')]).toEqual([1, 1])
})
