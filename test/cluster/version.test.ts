import { expect, test } from 'vitest'
import { clusterVersion, messageFormatOf, messageVersion, refusalOf } from '../../plugins/cluster/cluster-version.ts'
import { pack, unpack } from '../../plugins/cluster/frames.ts'
import type { Bus } from '../../plugins/kit/services/bus.ts'
import { decodeMessage, encodeMessage, messageFormat } from '../../plugins/kit/stored-message.ts'
import { messageOf } from '../core/messages.ts'

const node = (facts: Record<string, number | string>) => ({ name: 'n2', boot: 'b', facts })
const body = encodeMessage(messageOf('hello'))
const picks = [{ group: '$share/g/t', clientId: 'c' }]

test('a frame carries its version, and its messages come out as they went in', () => {
  const frame = pack([
    { body, plain: true, picks: [] },
    { body, plain: false, picks },
  ])
  expect(frame[0]).toBe(messageVersion)
  expect([...unpack('n2', frame)]).toEqual([
    { body, plain: true, picks: [] },
    { body, plain: false, picks },
  ])
})

test('a frame of another version is refused, and the error names the node', () => {
  const frame = pack([{ body, plain: true, picks: [] }])
  frame[0] = clusterVersion + 1
  expect(() => [...unpack('n2', frame)]).toThrow(/^node n2 sent a frame of version 3, and this node reads 1 to 2; upgrade/)
})

test('a node of the same version or the next is spoken with, any other is named', () => {
  expect(refusalOf(node({ clusterVersion }))).toBeNull()
  expect(refusalOf(node({ clusterVersion: clusterVersion + 1 }))).toBeNull()
  expect(refusalOf(node({ clusterVersion: clusterVersion + 2 }))).toContain('upgrade this node first')
  expect(refusalOf(node({}))).toContain('node n2 says no version')
})

test('messages are written as every living node reads them', () => {
  const formatAmong = (...versions: number[]) =>
    messageFormatOf({ nodes: () => versions.map(version => node({ clusterVersion: version })) } as unknown as Bus)
  expect(formatAmong(clusterVersion, clusterVersion)).toBe(messageFormat)
  expect(formatAmong(clusterVersion, 1)).toBe(1)
  const named = messageOf('hello', { username: 'anna', properties: { contentType: 'text' } })
  const old = encodeMessage(named, 0, false, 0, 1)
  expect([old[0], encodeMessage(named)[0]]).toEqual([1, messageFormat])
  const read = decodeMessage(old)
  expect([read.topic, String(read.payload), read.properties, read.username]).toEqual([
    named.topic,
    'hello',
    { contentType: 'text' },
    undefined,
  ])
})
