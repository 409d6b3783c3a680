import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import { startBroker } from '../support/broker.ts'

const user = (username: string) => ({ version: 5 as const, username, password: 'x' })

test('limits that were off count those who are there already', async () => {
  const broker = await startBroker({ limits: {} })
  for (let i = 0; i < 2; i++) await broker.connect(user('ann'))
  await broker.running.reload('limits', { maxConnections: 3, maxConnectionsPerUser: 2 })
  const third = broker.open(5, '192.0.2.9')
  expect(await third.connect(user('ann'))).toMatchObject({
    reasonCode: ReasonCode.QuotaExceeded,
    properties: { reasonString: 'too many connections of this user' },
  })
  await third.closed
  const ben = broker.open(5, '192.0.2.9')
  expect(await ben.connect(user('ben'))).toMatchObject({ reasonCode: 0 })
  expect(await broker.open(5, '192.0.2.9').connect(user('cid'))).toMatchObject({
    properties: { reasonString: 'the broker has as many connections as it takes' },
  })
  await broker.running.reload('limits', {})
  expect(await broker.open(5).connect(user('ann'))).toMatchObject({ reasonCode: 0 })
})

test('limits per address count those who are there already, and forget nobody who goes', async () => {
  const broker = await startBroker({ limits: {} })
  const first = await broker.connect(user('ann'))
  await broker.running.reload('limits', { maxConnectionsPerAddress: 1 })
  expect(await broker.open(5).connect()).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
  first.drop()
  await broker.advance(0)
  expect(await broker.open(5).connect()).toMatchObject({ reasonCode: 0 })
  await broker.running.reload('limits', { connectsPerSecondPerAddress: 1, connectBurstPerAddress: 1 })
  expect(await broker.open(5).connect()).toMatchObject({ reasonCode: 0 })
  expect(await broker.open(5).connect()).toMatchObject({ reasonCode: ReasonCode.ConnectionRateExceeded })
})

test('rates that change hold for those who are connected', async () => {
  const broker = await startBroker({ limits: {} })
  const client = await broker.connect(user('ann'))
  for (let i = 0; i < 5; i++) expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBeLessThan(0x80)
  await broker.running.reload('limits', { messagesPerSecond: 1, messageBurst: 1, overRate: 'refuse' })
  expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBeLessThan(0x80)
  expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBe(ReasonCode.QuotaExceeded)
  await broker.running.reload('limits', { topicRates: [{ filter: 'a', messagesPerSecond: 1, messageBurst: 1, overRate: 'refuse' }] })
  expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBeLessThan(0x80)
  expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBe(ReasonCode.QuotaExceeded)
  expect((await client.publish('b', '', { qos: 1 }))!.reasonCode).toBeLessThan(0x80)
  await broker.running.reload('limits', {})
  for (let i = 0; i < 5; i++) expect((await client.publish('a', '', { qos: 1 }))!.reasonCode).toBeLessThan(0x80)
})

test('the longest keep-alive and the time for a packet change too', async () => {
  const broker = await startBroker({ limits: {} })
  expect((await broker.open(5).connect({ keepAlive: 600 })).properties?.serverKeepAlive).toBeUndefined()
  await broker.running.reload('limits', { maxKeepAlive: '60s', packetTimeout: '2s' })
  const client = broker.open(5)
  expect((await client.connect({ keepAlive: 600 })).properties?.serverKeepAlive).toBe(60)
  client.sendBytes('30 10 00')
  for (let i = 0; i < 5; i++) await broker.advance(1000)
  await client.closed
  await broker.running.reload('limits', {})
  expect((await broker.open(5).connect({ keepAlive: 600 })).properties?.serverKeepAlive).toBeUndefined()
})

test('what is wrong is refused, and what was goes on', async () => {
  const broker = await startBroker({ limits: { maxConnections: 1 } })
  await expect(broker.running.reload('limits', { byteBurst: 5 })).rejects.toThrow('limits.byteBurst: means nothing')
  await broker.connect(user('ann'))
  expect(await broker.open(5).connect()).toMatchObject({ reasonCode: ReasonCode.QuotaExceeded })
})
