import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ReasonCode } from '../../core/reason.ts'
import type { Config } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'

const temperature = { type: 'object', required: ['celsius'], properties: { celsius: { type: 'number', maximum: 200 } } }
const start = (rules: NonNullable<Exclude<Config['schema'], boolean>>['rules']) => startBroker({ schema: { rules } })

function counts(figures: Iterable<{ name: string; read(): readonly { value: number; labels?: Readonly<Record<string, string>> }[] }>) {
  return Object.fromEntries(
    [...figures]
      .filter(({ name }) => name.startsWith('schema_'))
      .map(({ name, read }) => [name, Object.fromEntries(read().map(({ value, labels }) => [labels!.filter, value]))]),
  )
}

test('what does not fit is refused with 0x99 and why, what fits goes on as it came', async () => {
  const broker = await start([{ filter: 'sensors/+/temp', schema: temperature }])
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('#', 1)
  const client = await broker.connect({ version: 5 })
  const publish = (topic: string, payload: string) => client.publish(topic, payload, { qos: 1 })
  expect(await publish('sensors/a/temp', '{"celsius": 21.5}')).toMatchObject({ reasonCode: 0 })
  expect((await reader.receive()).payload.toString()).toBe('{"celsius": 21.5}')
  for (const [payload, why] of [
    ['{"celsius": 999}', '/celsius must be <= 200'],
    ['{}', "the payload must have required property 'celsius'"],
    ['21.5', 'the payload must be object'],
    ['21,5', 'the payload is not JSON'],
    ['', 'the payload is not JSON'],
  ]) {
    expect(await publish('sensors/a/temp', payload!)).toMatchObject({
      reasonCode: ReasonCode.PayloadFormatInvalid,
      properties: { reasonString: why },
    })
  }
  expect(await publish('sensors/a/hum', 'anything')).toMatchObject({ reasonCode: 0 })
  expect((await reader.receive()).topic).toBe('sensors/a/hum')
  expect(counts(broker.broker.figures)).toEqual({
    schema_valid_messages_total: { 'sensors/+/temp': 1 },
    schema_invalid_messages_total: { 'sensors/+/temp': 5 },
  })
  expect(broker.broker.counters.dropped.refused).toBe(5)
})

test('quarantine: it goes to another topic, with the reason, and is not retained; nobody who awaits the right one gets it', async () => {
  const broker = await start([{ filter: 'a/#', schema: temperature, onInvalid: 'quarantine', quarantine: 'bad/{clientId}/{topic[1]}' }])
  const client = await broker.connect({ version: 5, clientId: 'c' })
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('#', 1)
  await client.publish('a/b', 'nonsense', { qos: 1, retain: true, properties: { userProperties: [['k', 'v']] } })
  const got = await reader.receive()
  expect(got).toMatchObject({ topic: 'bad/c/b', retain: false })
  expect(got.payload.toString()).toBe('nonsense')
  expect(got.properties?.userProperties).toEqual([
    ['k', 'v'],
    ['schema-error', 'the payload is not JSON'],
  ])
  // A client id that makes no topic name of it.
  const odd = await broker.connect({ version: 5, clientId: 'o#' })
  expect(await odd.publish('a/b', 'nonsense', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.PayloadFormatInvalid })
})

test('drop acknowledges; all rules that match must fit; an empty retained message is let pass', async () => {
  const small = { properties: { celsius: { maximum: 10 } } }
  const broker = await start([
    { filter: 'a/#', schema: temperature },
    { filter: 'a/b', schema: { $schema: 'http://json-schema.org/draft-07/schema#', ...small }, onInvalid: 'drop' },
  ])
  const client = await broker.connect({ version: 5 })
  const reader = await broker.connect({ version: 5 })
  await reader.subscribe('#', 1)
  expect(await client.publish('a/b', '{"celsius": 50}', { qos: 1 })).toMatchObject({ reasonCode: 0 })
  expect(await client.publish('a/b', '{}', { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.PayloadFormatInvalid })
  await client.publish('a/b', '', { qos: 1, retain: true })
  await client.publish('a/b', '{"celsius": 5}', { qos: 1 })
  expect((await reader.receive()).payload.length).toBe(0)
  expect((await reader.receive()).payload.toString()).toBe('{"celsius": 5}')
})

test('wills are judged too', async () => {
  const broker = await start([{ filter: 'w', schema: temperature }])
  const reader = await broker.connect()
  await reader.subscribe('#', 1)
  for (const payload of ['no', '{"celsius": 1}']) {
    const doomed = await broker.connect({ clientId: payload, will: { topic: 'w', payload: Buffer.from(payload), qos: 1 } })
    doomed.drop()
  }
  expect((await reader.receive()).payload.toString()).toBe('{"celsius": 1}')
})

test('a schema may lie in a file, which is read again; one that is wrong is said at start, and later leaves what was', async () => {
  const folder = await folderWith({ 'temp.json': JSON.stringify(temperature) })
  const file = join(folder, 'temp.json')
  const broker = await start([{ filter: 'a', schema: file }])
  const client = await broker.connect({ version: 5 })
  const code = async (payload: string) => (await client.publish('a', payload, { qos: 1 }))!.reasonCode >= 0x80
  expect(await code('{"celsius": 300}')).toBe(true)
  await writeFile(file, JSON.stringify({ ...temperature, properties: {} }))
  await broker.running.reread()
  expect(await code('{"celsius": 300}')).toBe(false)
  await writeFile(file, '{')
  await broker.running.reread()
  expect(await code('{"celsius": 300}')).toBe(false)
  await expect(start([{ filter: 'a', schema: file }])).rejects.toThrow('temp.json cannot be read as JSON')
  await expect(start([{ filter: 'a', schema: { type: 'nonsense' } }])).rejects.toThrow('schema.rules[0]')
  await expect(start([{ filter: 'a+', schema: {} }])).rejects.toThrow('schema.rules[0].filter')
  await expect(broker.running.reload('schema', { rules: [{ filter: 'a', schema: 5 }] })).rejects.toThrow('a JSON Schema is an object')
  await broker.running.reload('schema', { rules: [] })
  expect(await code('anything')).toBe(false)
})

test('a payload that is nested as deep as its size allows does not fit, and is no error of the broker', async () => {
  // It refers to itself, so the check goes as deep as the payload.
  const tree = { type: 'object', properties: { child: { $ref: '#' } }, additionalProperties: false }
  const broker = await start([{ filter: 'a', schema: tree }])
  const errors: Error[] = []
  broker.hooks.onError.tap('test', error => void errors.push(error))
  const client = await broker.connect({ version: 5 })
  const nested = (depth: number) => `${'{"child":'.repeat(depth)}{}${'}'.repeat(depth)}`
  expect(await client.publish('a', nested(100), { qos: 1 })).toMatchObject({ reasonCode: ReasonCode.NoMatchingSubscribers })
  expect(await client.publish('a', nested(100_000), { qos: 1 })).toMatchObject({
    reasonCode: ReasonCode.PayloadFormatInvalid,
    properties: { reasonString: 'the payload is nested too deeply' },
  })
  expect(errors).toEqual([])
})

test('a JSON Schema that is nested without end is one line', async () => {
  const folder = await folderWith({ 'deep.json': `${'{"not":'.repeat(50_000)}{}${'}'.repeat(50_000)}` })
  await expect(start([{ filter: 'a', schema: join(folder, 'deep.json') }])).rejects.toThrow(
    /^schema\.rules\[0\]: the JSON Schema is nested more than 100 levels deep, or holds itself; write it flatter$/,
  )
})
