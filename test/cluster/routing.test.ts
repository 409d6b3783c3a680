import { expect, test } from 'vitest'
import { startNodes } from '../support/cluster.ts'

test.each([0, 1, 2] as const)('a message of QoS %i reaches a clean session at another node', async qos => {
  const { nodes } = await startNodes(2)
  const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  const reader = await b.connect({ clientId: 'reader' })
  await reader.subscribe('a/+', qos)
  const writer = await a.connect({ clientId: 'writer' })
  await a.wants('a/b', 'n2')
  await writer.publish('a/b', 'hello', { qos })
  const got = await reader.receive()
  expect([got.topic, got.payload.toString(), got.qos]).toEqual(['a/b', 'hello', qos])
})
