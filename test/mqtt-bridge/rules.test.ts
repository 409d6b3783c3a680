import { expect, test } from 'vitest'
import { readRules } from '../../plugins/mqtt-bridge/rules.ts'
import { defaultsOf } from './defaults.ts'

const read = (topics: Parameters<typeof defaultsOf>[0], hasQueue = false) => readRules(defaultsOf(topics), 'here', hasQueue)

test('a prefix is taken off on one side and put on on the other, both ways', () => {
  const { out, in: inward } = read([{ filter: 'lights/#', direction: 'both', localPrefix: 'house/', remotePrefix: 'site/7/' }])
  expect(out[0]!.filter).toBe('house/lights/#')
  expect(out[0]!.nameOf('house/lights/1', '')).toBe('site/7/lights/1')
  expect(inward[0]!.filter).toBe('site/7/lights/#')
  expect(inward[0]!.nameOf('site/7/lights/1', '')).toBe('house/lights/1')
})

test('an empty filter is one topic, called otherwise on each side', () => {
  const { in: inward } = read([{ filter: '', direction: 'in', localPrefix: 'here/state', remotePrefix: 'there/status' }])
  expect(inward[0]!.filter).toBe('there/status')
  expect(inward[0]!.nameOf('there/status', '')).toBe('here/state')
})

test('a template speaks of the topic name without its prefix', () => {
  const { out } = read([{ filter: '+/temp', localPrefix: 'a/', to: 'plant/{topic[0]}/{clientId}' }])
  expect(out[0]!.nameOf('a/oven/temp', 'meter')).toBe('plant/oven/meter')
  expect(out[0]!.nameOf('a/oven/temp', 'me/ter')).toBeNull()
})

test.each([
  [{ filter: 'a/#/b' }, 'here.topics[0].filter: "a/#/b" is no topic filter'],
  [{ filter: '$share/g/a' }, 'here.topics[0].filter: "$share/g/a" is no topic filter'],
  [{ filter: 'a', localPrefix: '+/' }, 'here.topics[0].localPrefix: "+/" is no beginning of a topic name'],
  [{ filter: 'a', ack: 'local' }, 'here.topics[0]: ack local needs a queue on disk'],
  [{ filter: 'a', direction: 'both', to: 'b' }, 'here.topics[0].to: it cannot be undone on the way back'],
  [{ filter: 'a', direction: 'in', to: '{clientId}' }, 'here.topics[0].to: nobody knows the client id'],
  [{ filter: 'a', to: '{topic[3]}' }, 'here.topics[0].to: {topic[3]}: topics that match a have 1 levels'],
  [{ filter: 'a', qos: 1, delivery: 'exactlyOnce' }, 'here.topics[0].delivery: exactlyOnce needs QoS 2'],
] as const)('%j is refused with its cure', (topic, text) => {
  expect(() => read([topic])).toThrow(text)
})
