import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'

test('the first rule whose filter matches gives the topic name, also of a retained message and a will', async () => {
  const broker = await startBroker({
    rewrite: {
      rules: [
        { filter: 'old/+/temp', to: 'plants/{topic[1]}/{clientId}/temperature' },
        { filter: 'old/#', to: 'legacy/{topic}' },
      ],
    },
  })
  const reader = await broker.connect()
  await reader.subscribe('#', 1)
  const client = await broker.connect({ clientId: 'c', will: { topic: 'old/will', payload: Buffer.from('gone') } })
  await client.publish('old/a/temp', '1', { qos: 1, retain: true })
  await client.publish('old/x', '2', { qos: 2 })
  await client.publish('new', '3')
  client.drop()
  const topics: string[] = []
  for (let i = 0; i < 4; i++) topics.push((await reader.receive()).topic)
  expect(topics).toEqual(['plants/a/c/temperature', 'legacy/old/x', 'new', 'legacy/old/will'])
  const late = await broker.connect()
  await late.subscribe('plants/#')
  expect(await late.receive()).toMatchObject({ topic: 'plants/a/c/temperature', retain: true })
  expect([...broker.broker.figures].find(({ name }) => name === 'rewritten_messages_total')?.read()[0]?.value).toBe(3)
})

test('rights are those for the name that the client gave', async () => {
  const broker = await startBroker({
    topicSecurity: {
      rules: [
        { allow: 'publish', topics: ['in'] },
        { allow: 'subscribe', topics: ['out'] },
      ],
    },
    rewrite: { rules: [{ filter: 'in', to: 'out' }] },
  })
  const client = await broker.connect({ version: 5 })
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('out', 1)
  expect(await client.publish('out', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })
  await client.publish('in', 'm', { qos: 1 })
  expect((await reader.receive()).topic).toBe('out')
})

test('a client id that makes no topic name of it costs that message only, and never reaches $SYS', async () => {
  const broker = await startBroker({ rewrite: { rules: [{ filter: 'a', to: '{clientId}/a' }] } })
  for (const clientId of ['x+', '$SYS', 'b/c', '$other', 'b#']) {
    const client = await broker.connect({ version: 5, clientId })
    expect(await client.publish('a', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.TopicNameInvalid })
    expect(await client.publish('b', '', { qos: 1 })).toMatchObject({ reasonCode: expect.toSatisfy(code => code < 0x80) })
  }
})

test('a part of the topic name that the client gave begins no name with $', async () => {
  const broker = await startBroker({ rewrite: { rules: [{ filter: 'a/+', to: '{topic[1]}/a' }] } })
  const client = await broker.connect({ version: 5 })
  expect(await client.publish('a/$other', '', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.TopicNameInvalid })
})

test('the result is judged too where authorise says so, and a denial has the consequence that the rights say', async () => {
  const rules = [{ filter: 'in/#', to: 'out/{clientId}' }]
  const broker = await startBroker({
    topicSecurity: { rules: [{ allow: 'all', topics: ['in/#', 'out/may'] }], deniedPublish: 'drop' },
    rewrite: { rules, authorise: true },
  })
  const reader = await broker.connect({ version: 5, clientId: 'may' })
  await reader.subscribe('out/may', 1)
  const stranger = await broker.connect({ version: 5, clientId: 'stranger' })
  expect(await stranger.publish('in/x', 'denied', { qos: 1 })).toMatchObject({ reasonCode: expect.toSatisfy(code => code < 0x80) })
  expect(broker.broker.counters.dropped.refused).toBe(1)
  reader.sendPublish('in/x', 'mine', { qos: 1 })
  expect((await reader.receive()).payload.toString()).toBe('mine')
  await broker.running.reload('rewrite', { rules })
  await stranger.publish('in/x', 'not judged', { qos: 1 })
  expect(broker.broker.counters.dropped.refused).toBe(1)
})

test('rules change while it runs, wrong ones change nothing', async () => {
  const broker = await startBroker({ rewrite: {} })
  const client = await broker.connect()
  await client.subscribe('#')
  await broker.running.reload('rewrite', { rules: [{ filter: 'a', to: 'b' }] })
  for (const [filter, to] of [
    ['a+', 'b'],
    ['a', 'b/#'],
    ['a', '{topic[3]}'],
    ['a', '$SYS/x'],
  ]) {
    await expect(broker.running.reload('rewrite', { rules: [{ filter, to }] })).rejects.toThrow('rewrite.rules[0]')
  }
  await client.publish('a', 'm')
  expect((await client.receive()).topic).toBe('b')
})
