import { expect, test } from 'vitest'
import { definePlugin, MessageRefusedError, ReasonCode, Stage, StoreAwayError } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { eventually } from '../support/eventually.ts'
import { bridgeTo, connected, side } from '../support/mqtt-bridge.ts'

/** Refuses what is published to `…/no`, and closes the connection on `…/never`. */
const guard = definePlugin({
  name: 'guard',
  apply({ hooks }) {
    hooks.onPublish.tap({ name: 'guard', stage: Stage.Guard }, (publisher, { topic }) => {
      if (topic.endsWith('/full') && publisher.clientId.startsWith('mqttx-')) return ReasonCode.QuotaExceeded
      return topic.endsWith('/no') ? ReasonCode.NotAuthorized : undefined
    })
  },
})

test('what the other broker refuses is parked where its publisher has the acknowledgement, and sent once more when that is wanted', async () => {
  let refuses = true
  const there = await side({
    plugins: [
      definePlugin({
        name: 'moody',
        apply({ hooks }) {
          hooks.onPublish.tap('moody', (_publisher, { topic }) => (refuses && topic === 'a/no' ? ReasonCode.NotAuthorized : undefined))
        },
      })(),
    ],
  })
  const path = await folderWith()
  const topics = [{ filter: 'a/#' }]
  const here = await side({ diskQueue: { path }, mqttBridge: bridgeTo(there.port, { topics }) })
  await connected(here)
  const heard = await there.hear('#')
  const client = await here.connect()
  await client.publishAsync('a/no', '1', { qos: 1 })
  await client.publishAsync('a/yes', '2', { qos: 1 })
  await eventually(() => heard.length === 1)
  expect(heard).toEqual(['a/yes 2'])
  expect(here.figure('parked_messages')).toBe(1)
  expect(here.lines.filter(({ message }) => message.includes('is parked: NotAuthorized'))).toHaveLength(1)
  await here.stop()
  refuses = false
  const again = await side({ diskQueue: { path }, mqttBridge: bridgeTo(there.port, { topics, parked: 'resend' }) })
  await eventually(() => heard.length === 2)
  expect(heard).toEqual(['a/yes 2', 'a/no 1'])
  expect(again.figure('parked_messages')).toBe(0)
})

test('at ack remote the publisher is told of a refusal, and gets its acknowledgement when the other broker has the message', async () => {
  const there = await side({ plugins: [guard()] })
  const here = await side({ mqttBridge: bridgeTo(there.port, { topics: [{ filter: 'a/#', ack: 'remote' }] }) })
  await connected(here)
  const client = await here.connect()
  await expect(client.publishAsync('a/no', '1', { qos: 1 })).rejects.toMatchObject({ code: ReasonCode.ImplementationSpecificError })
  await expect(client.publishAsync('a/full', '1', { qos: 1 })).rejects.toMatchObject({ code: ReasonCode.QuotaExceeded })
  await client.publishAsync('a/yes', '2', { qos: 2 })
  expect(here.drops.map(({ topic, reason }) => [topic, reason])).toContainEqual(['a/no', 'mqttBridgeRefused'])
})

test('for a message for which the other broker has no room just now it is asked again', async () => {
  let full = true
  const there = await side({
    plugins: [
      definePlugin({
        name: 'full',
        apply({ hooks }) {
          hooks.onPublish.tap('full', () => (full ? ReasonCode.QuotaExceeded : undefined))
        },
      })(),
    ],
  })
  const here = await side({
    diskQueue: { path: await folderWith() },
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: 'a/#' }] }),
  })
  await connected(here)
  const heard = await there.hear('a/#')
  const client = await here.connect()
  for (let number = 0; number < 5; number++) await client.publishAsync('a/b', String(number), { qos: 1 })
  await eventually(() => there.drops.length + here.figure('repeated_messages_total') > 5)
  full = false
  await eventually(() => heard.length >= 5)
  expect([...heard].sort()).toEqual([0, 1, 2, 3, 4].map(number => `a/b ${number}`))
  expect(here.figure('parked_messages')).toBe(0)
})

test('a message on which the other broker closes the connection, before MQTT 5, is parked, and the others get through', async () => {
  const there = await side({ mqtt: { deniedPublish: 'close' }, plugins: [guard()] })
  const here = await side({
    diskQueue: { path: await folderWith() },
    mqttBridge: bridgeTo(there.port, { version: '3.1.1', topics: [{ filter: 'a/#' }] }),
  })
  await connected(here)
  const heard = await there.hear('a/#')
  const client = await here.connect()
  const numbers = Array.from({ length: 20 }, (_, number) => number)
  await Promise.all(numbers.map(number => client.publishAsync(number === 7 ? 'a/no' : 'a/yes', String(number), { qos: 1 })))
  await eventually(() => here.figure('parked_messages') === 1 && new Set(heard).size === 19)
  expect(new Set(heard)).toEqual(new Set(numbers.filter(number => number !== 7).map(number => `a/yes ${number}`)))
})

test('a message that is larger than the other broker takes is parked, not sent', async () => {
  const there = await side({ mqtt: { maximumPacketSize: '2KiB' } })
  const here = await side({
    diskQueue: { path: await folderWith() },
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: 'a/#' }] }),
  })
  await connected(here)
  const client = await here.connect()
  await client.publishAsync('a/b', 'x'.repeat(4000), { qos: 1 })
  await eventually(() => here.figure('parked_messages') === 1)
  expect(here.figure('connects_total')).toBe(1)
})

test('what this broker cannot keep is not acknowledged: the other one sends it again, once only where this one had it', async () => {
  let trouble = true
  const there = await side()
  const here = await side({
    mqttBridge: bridgeTo(there.port, { topics: [{ filter: 'a/#', direction: 'in' }] }),
    plugins: [
      definePlugin({
        name: 'store',
        apply({ hooks }) {
          hooks.onRoute.tap('store', ({ topic }, _route, receipt) => {
            if (topic === 'a/away' && trouble) receipt.hold('store')(new StoreAwayError('away'))
            if (topic === 'a/never') receipt.hold('store')(new MessageRefusedError('never'))
          })
        },
      })(),
    ],
  })
  await connected(here, there)
  const client = await there.connect()
  await client.publishAsync('a/never', '1', { qos: 2 })
  await client.publishAsync('a/away', '2', { qos: 2 })
  await eventually(() => here.figure('connects_total') > 2)
  trouble = false
  await client.publishAsync('a/end', '3', { qos: 1 })
  await eventually(() => there.running.broker.sessionOf(`mqttx-${idOf(here.running)}-site`)?.waiting(10).length === 0)
})

const idOf = ({
  broker,
}: {
  broker: { services: { find(name: 'state'): { get(key: string): { value: string } | undefined } | undefined } }
}) => broker.services.find('state')!.get('mqttBridge/id')!.value

test('what may not be published here, or comes from no rule, goes nowhere and is counted', async () => {
  const there = await side()
  const here = await side({
    mqttBridge: bridgeTo(there.port, {
      localUsername: 'site',
      topics: [{ filter: 'a/#', direction: 'in' }],
    }),
    topicSecurity: {
      rules: [
        { deny: 'publish', topics: ['a/secret'], users: ['site'] },
        { allow: 'all', topics: ['#'] },
      ],
    },
  })
  await connected(here, there)
  const heard = await here.hear('a/#', { username: 'reader' })
  const client = await there.connect()
  await client.publishAsync('a/secret', '1', { qos: 1 })
  await client.publishAsync('a/open', '2', { qos: 1 })
  await eventually(() => heard.length > 0)
  expect(heard).toEqual(['a/open 2'])
  expect(here.figure('refused_messages_total')).toBe(1)
})
