import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { createBroker } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker, type TestBroker } from '../support/broker.ts'
import { eventually } from '../support/eventually.ts'

const figure = ({ broker }: TestBroker, name: string) => [...broker.figures].find(one => one.name === name)?.read()[0]?.value

test('messages are published when their time has come, those of one time in order, whatever became of their publisher', async () => {
  const broker = await startBroker({ delay: {} })
  const reader = await broker.connect()
  await reader.subscribe('#', 2)
  const client = await broker.connect({ version: 5 })
  for (let i = 0; i < 5; i++) expect(await client.publish('$delayed/60/a/b', String(i), { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await client.publish('$delayed/10/soon', 'first', { qos: 2, properties: { messageExpiry: 30, contentType: 'x' } })
  await client.publish('$delayed/70/kept', 'retained', { retain: true })
  await settled()
  client.drop()
  expect(figure(broker, 'delayed_messages')).toBe(7)
  await broker.advance(9900)
  expect(reader.heard.filter(({ type }) => type === 3)).toEqual([])
  await broker.advance(200)
  expect(await reader.receive()).toMatchObject({ topic: 'soon', qos: 2 })
  await broker.advance(60_000)
  const got: string[] = []
  for (let i = 0; i < 6; i++) {
    const { topic, payload } = await reader.receive()
    got.push(`${topic} ${payload}`)
  }
  expect(got).toEqual(['a/b 0', 'a/b 1', 'a/b 2', 'a/b 3', 'a/b 4', 'kept retained'])
  expect(figure(broker, 'delayed_messages')).toBe(0)
  expect(figure(broker, 'delayed_bytes')).toBe(0)
  expect(figure(broker, 'delayed_published_messages_total')).toBe(7)
  expect(broker.broker.counters.droppedTotal).toBe(0)
  const late = await broker.connect()
  await late.subscribe('kept')
  expect((await late.receive()).payload.toString()).toBe('retained')
})

test('what cannot be delayed is refused, and said', async () => {
  const broker = await startBroker({ delay: { max: '60s', messagesMax: 1 } })
  const client = await broker.connect({ version: 5 })
  for (const topic of ['$delayed/x/a', '$delayed/60', '$delayed/61/a', '$delayed/1/$SYS/x', '$delayed/1/$delayed/1/a', '$delayed/-1/a']) {
    const { reasonCode } = (await client.publish(topic, '', { qos: 1 }))!
    expect([topic, reasonCode]).toEqual([topic, topic.includes('SYS') ? ReasonCode.NotAuthorized : ReasonCode.TopicNameInvalid])
  }
  expect(await client.publish('$delayed/60/a', '', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  expect(await client.publish('$delayed/60/a', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  await broker.running.reload('delay', { messagesMax: 2 })
  expect(await client.publish('$delayed/60/a', '', { qos: 1 })).toMatchObject({ reasonCode: 0 })
})

test('rights and schemas are those of the topic that it is for, when it comes and when its time has come', async () => {
  const all = { allow: 'all' as const, topics: ['a', '$delayed/+/#'] }
  const broker = await startBroker({
    topicSecurity: { rules: [all, { allow: 'subscribe', topics: ['#'] }] },
    schema: { rules: [{ filter: 'a', schema: { type: 'number' } }] },
    delay: {},
  })
  const reader = await broker.connect()
  await reader.subscribe('#', 1)
  const client = await broker.connect({ version: 5 })
  expect(await client.publish('$delayed/1/b', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  for (const payload of ['5', 'five', '6']) await client.publish('$delayed/1/a', payload, { qos: 1 })
  await broker.advance(1200)
  expect((await reader.receive()).payload.toString()).toBe('5')
  expect((await reader.receive()).payload.toString()).toBe('6')
  await client.publish('$delayed/1/a', '7', { qos: 1 })
  await broker.running.reload('topicSecurity', { rules: [{ allow: 'subscribe', topics: ['#'] }] })
  const { refused } = broker.broker.counters.dropped
  await broker.advance(1200)
  expect(broker.broker.counters.dropped.refused).toBe(refused + 1)
})

test('with diskQueue they outlive the broker, and what came due meanwhile comes at once', async () => {
  const path = join(await folderWith(), 'queue')
  const first = await startBroker({ delay: {}, diskQueue: { path } })
  const client = await first.connect({ version: 5, username: 'ann', password: 'x' })
  for (let i = 0; i < 3; i++) expect(await client.publish('$delayed/60/a', String(i), { qos: 1 })).toMatchObject({ reasonCode: 0 })
  await client.publish('$delayed/3600/later', 'much', { qos: 1 })
  await first.running.stop()

  const again = await startBroker({ delay: {}, diskQueue: { path } })
  const reader = await again.connect()
  await reader.subscribe('#', 1)
  expect(figure(again, 'delayed_messages')).toBe(4)
  await again.advance(60_200)
  for (let i = 0; i < 3; i++) expect((await reader.receive()).payload.toString()).toBe(String(i))
  await again.running.stop()

  const third = await startBroker({ delay: {}, diskQueue: { path } })
  expect(figure(third, 'delayed_messages')).toBe(1)
})

test('without diskQueue it says that they are lost with the broker', async () => {
  const lines: string[] = []
  const running = await createBroker({
    preset: 'test',
    socket: false,
    log: false,
    delay: {},
    plugins: [
      {
        name: 'lines',
        provides: ['log'],
        apply({ services }) {
          const write = (...line: unknown[]) => void lines.push(String(line.at(-1)))
          const log = { trace: write, debug: write, info: write, warn: write, error: write, isLevelEnabled: () => true }
          services.provide('log', log, 'lines')
        },
      },
    ],
  }).start()
  onTestFinished(() => running.stop())
  await eventually(() => lines.some(line => line.startsWith('delay: ') && line.endsWith('add the section diskQueue')))
})
