import { createRequire } from 'node:module'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import type { Options } from '../../plugins/redis/client-options.ts'
import { Keys } from '../../plugins/redis/keys.ts'
import { redisManifest } from '../../plugins/redis/manifest.ts'
import { slotOf } from '../../plugins/redis/slots.ts'
import { TestNode } from '../support/cluster.ts'
import { startCluster } from '../support/redis.ts'

// Goal: on a Redis Cluster no key can be made, whatever people call their topics and nodes, of whose slot ioredis and Redis think differently: ioredis would ask the wrong server for ever.

// What ioredis itself reckons by.
const slotByIoredis = createRequire(createRequire(import.meta.url).resolve('ioredis'))('cluster-key-slot') as (key: string) => number

const optionsOf = (more: object): Options => checkOptions(redisManifest.options, more, 'redis') as Options
const keys = new Keys(optionsOf({ nodes: ['127.0.0.1:7000'] }))

const oddNames = [
  '{}',
  '{}{x}',
  'a/{}/{x}',
  '}{',
  '{{a}}',
  '{{}}',
  '{}}',
  '{a}{b}',
  '{',
  '}',
  '{}x}',
  'ä{}ö{ü}',
  '{}{}',
  '%7B}',
  '{%7D}',
  'a{}b}c{d}',
]

const name = fc
  .oneof(
    fc
      .array(fc.constantFrom('{', '}', '{}', 'a', '/', 'é', '漢', '😀', '%', ':'), { minLength: 1, maxLength: 8 })
      .map(parts => parts.join('')),
    fc.string({ unit: 'grapheme', minLength: 1 }),
  )
  .filter(text => !text.includes('\0'))

function keysOf(text: string): string[] {
  return [
    keys.session(text),
    keys.queue(text),
    keys.identifiers(text),
    keys.retained(text),
    keys.subscribers(text),
    keys.cleanWills(text),
    keys.willsOf(text, 'run'),
    keys.node(text),
    keys.inbox(text, 'run'),
    keys.table(text, 'run', 'routes'),
    keys.agreed(text),
  ]
}

test.each(oddNames)('ioredis and Redis think the same of every key that has %j in it', text => {
  for (const key of keysOf(text)) expect([key, slotByIoredis(key)]).toEqual([key, slotOf(key)])
})

test('ioredis and Redis think the same of every key, whatever is in its name', () => {
  fc.assert(
    fc.property(name, text => {
      for (const key of keysOf(text)) expect(slotByIoredis(key)).toBe(slotOf(key))
      expect(keys.topicOf(keys.retained(text))).toBe(text)
      expect(keys.clientIdOf(keys.session(text))).toBe(text)
    }),
    { numRuns: 2000 },
  )
})

test('two names never share a key', () => {
  fc.assert(
    fc.property(name, name, (one, other) => {
      if (one === other) return
      for (const [i, key] of keysOf(one).entries()) expect(key).not.toBe(keysOf(other)[i])
    }),
  )
})

test('a real Redis Cluster reckons every key as this does, and takes odd topics like any other', async () => {
  const cluster = await startCluster()
  onTestFinished(() => cluster.stop())
  for (const text of oddNames) {
    for (const key of keysOf(text)) expect([key, await cluster.nodes[0]!.call('CLUSTER', 'KEYSLOT', key)]).toEqual([key, slotOf(key)])
  }
  const node = await TestNode.start('n{}{1}', { nodes: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) }, { cluster: false })
  const topic = 'devices/{}/{x}'
  const reader = await node.connect({ clientId: 'reader', cleanStart: false, properties: { sessionExpiry: 1000 } })
  expect(await reader.subscribe(topic, 1)).toEqual([1])
  const writer = await node.connect({ clientId: 'writer' })
  expect(await writer.publish(topic, 'kept', { qos: 1, retain: true })).toMatchObject({ reasonCode: 0 })
  expect(await reader.receive()).toMatchObject({ topic })
  const late = await node.connect({ clientId: 'late' })
  await late.subscribe(topic, 1)
  expect(await late.receive()).toMatchObject({ topic, retain: true })
}, 60_000)
