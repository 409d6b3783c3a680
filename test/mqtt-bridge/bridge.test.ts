import { expect, test } from 'vitest'
import { definePlugin } from '../../presets/index.ts'
import { eventually } from '../support/eventually.ts'
import { bridgeTo, connected, type Side, side } from '../support/mqtt-bridge.ts'
import { freePort } from '../support/redis.ts'

test.each(['5', '3.1.1', '3.1'] as const)('messages go out and come in with their QoS, in MQTT %s, and none comes back', async version => {
  const there = await side()
  const here = await side({ mqttBridge: bridgeTo(there.port, { version, topics: [{ filter: '#', direction: 'both' }] }) })
  await connected(here, there)
  const [heardHere, heardThere] = [await here.hear('#'), await there.hear('#')]
  const [ours, theirs] = [await here.connect(), await there.connect()]
  for (const qos of [0, 1, 2] as const) await ours.publishAsync(`from/here/${qos}`, 'x', { qos })
  for (const qos of [0, 1, 2] as const) await theirs.publishAsync(`from/there/${qos}`, 'y', { qos })
  const all = [0, 1, 2].flatMap(qos => [`from/here/${qos} x`, `from/there/${qos} y`]).sort()
  await eventually(() => heardHere.length >= 6 && heardThere.length >= 6)
  // Whatever would come back is behind what is asked here.
  await ours.publishAsync('end', '1', { qos: 2 })
  await eventually(() => heardThere.includes('end 1'))
  await theirs.publishAsync('end', '2', { qos: 2 })
  await eventually(() => heardHere.includes('end 2'))
  expect([...heardHere].filter(line => !line.startsWith('end')).sort()).toEqual(all)
  expect([...heardThere].filter(line => !line.startsWith('end')).sort()).toEqual(all)
})

test('what MQTT 5 carries with a message goes along, the expiry by what is left of it', async () => {
  const there = await side()
  const here = await side({ mqttBridge: bridgeTo(there.port, { topics: [{ filter: 'a/#', remotePrefix: 'x/' }] }), mqtt: {} })
  await connected(here)
  const client = await there.connect()
  const got = new Promise<[string, Record<string, unknown>]>(resolve =>
    client.on('message', (topic, _payload, { properties }) => resolve([topic, properties as Record<string, unknown>])),
  )
  await client.subscribeAsync('#', { qos: 2 })
  const properties = {
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.from('7'),
    payloadFormatIndicator: true,
    messageExpiryInterval: 100,
    userProperties: { unit: 'K' },
  }
  await (await here.connect()).publishAsync('a/b', 'x', { qos: 1, properties })
  const [topic, { userProperties, messageExpiryInterval, ...others }] = await got
  expect(topic).toBe('x/a/b')
  expect(others).toEqual({
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Buffer.from('7'),
    payloadFormatIndicator: true,
  })
  expect(messageExpiryInterval).toBeLessThanOrEqual(100)
  expect({ ...(userProperties as object) }).toMatchObject({ unit: 'K', 'mqttx-bridge': expect.stringMatching(/^[0-9a-f]{12}$/) })
})

test('retained messages that are there are carried at the first connection, both ways, and keep RETAIN; new ones too', async () => {
  const there = await side()
  await (await there.connect()).publishAsync('theirs', '1', { qos: 1, retain: true })
  const here = await side({
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: '#', direction: 'both' }], addresses: [`127.0.0.1:${there.port}`] }),
    plugins: [retainedBefore('ours')],
  })
  await connected(here, there)
  await (await here.connect()).publishAsync('later', '3', { qos: 1, retain: true })
  const [heardHere, heardThere] = [await here.hear('#'), await there.hear('#')]
  const all = ['later 3 retained', 'ours 2 retained', 'theirs 1 retained']
  await eventually(() => heardHere.length >= 3 && heardThere.length >= 3)
  expect([...heardHere].sort()).toEqual(all)
  expect([...heardThere].sort()).toEqual(all)
})

test('a ring of three that sends one way carries each message once to each, and ends', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const ring: Side[] = []
  for (const [index, port] of ports.entries())
    ring.push(await side({ socket: { port }, mqttBridge: bridgeTo(ports[(index + 1) % 3]!, { topics: [{ filter: '#' }] }) }))
  for (const one of ring) await connected(one)
  const heard = await Promise.all(ring.map(one => one.hear('#')))
  for (const [index, one] of ring.entries()) await (await one.connect()).publishAsync('from', String(index), { qos: 1 })
  await eventually(
    () => heard.every(lines => lines.length >= 3) && ring.reduce((sum, one) => sum + one.figure('looped_messages_total'), 0) === 3,
  )
  for (const lines of heard) expect([...lines].sort()).toEqual(['from 0', 'from 1', 'from 2'])
})

test('a ring of three that sends both ways carries each message by both ways round, and ends', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const ring: Side[] = []
  for (const [index, port] of ports.entries())
    ring.push(
      await side({ socket: { port }, mqttBridge: bridgeTo(ports[(index + 1) % 3]!, { topics: [{ filter: '#', direction: 'both' }] }) }),
    )
  for (const one of ring) await connected(one, one)
  const heard = await Promise.all(ring.map(one => one.hear('#')))
  await (await ring[0]!.connect()).publishAsync('from', '0', { qos: 1 })
  await eventually(() => heard[1]!.length >= 2 && heard[2]!.length >= 2)
  // What would go round once more is behind this.
  await (await ring[0]!.connect()).publishAsync('end', '', { qos: 1 })
  await eventually(() => heard.slice(1).every(lines => lines.filter(line => line.startsWith('end')).length === 2))
  expect(heard.map(lines => lines.filter(line => line === 'from 0').length)).toEqual([1, 2, 2])
})

test('the state of a connection is a retained message here, and by a will there', async () => {
  const there = await side()
  const here = await side({
    mqttBridge: bridgeTo(there.port, { notifications: 'both', notificationTopic: 'bridges/site', topics: [{ filter: 'a' }] }),
  })
  await connected(here)
  const [heardHere, heardThere] = [await here.hear('bridges/#'), await there.hear('bridges/#')]
  await eventually(() => heardHere.includes('bridges/site 1 retained') && heardThere.includes('bridges/site 1 retained'))
  await here.stop()
  await eventually(() => heardThere.includes('bridges/site 0 retained'))
})

/** Has a message retained before any bridge connects. */
function retainedBefore(topic: string) {
  return definePlugin({
    name: 'retainedBefore',
    apply: ({ broker }) => ({ start: () => void broker.publish({ topic, payload: '2', qos: 1, retain: true }) }),
  })()
}
