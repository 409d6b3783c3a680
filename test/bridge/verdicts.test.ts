import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { bridgingBroker } from '../support/bridge.ts'
import { eventually } from '../support/eventually.ts'
import { KafkaServer } from '../support/kafka.ts'
import { KafkaReader } from '../support/kafka-reader.ts'

// Goal: what Kafka says of one record or of one topic harms that one. Method: a Kafka of one node that cannot make topics by itself, because it is to
// keep three replicas of each, and that knows rights.

let kafka: KafkaServer
let reader: KafkaReader

beforeAll(async () => {
  kafka = await KafkaServer.start({
    more: [
      'default.replication.factor=3',
      'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found=true',
    ],
  })
  reader = new KafkaReader(kafka.address)
  await reader.createTopics({ good: 1, denied: 1 })
  await reader.createTopics({ late: 1 }, [{ name: 'message.timestamp.before.max.ms', value: '1' }])
  await reader.createTopics({ small: 1 }, [
    { name: 'segment.bytes', value: String(1024 * 1024) },
    { name: 'max.message.bytes', value: String(8 * 1024 * 1024) },
  ])
  await reader.administer(admin => admin.createAcls({ acl: [sight, denial] }))
}, 300_000)
afterAll(() => kafka?.stop())

const denial = {
  resourceType: kafkajs.AclResourceTypes.TOPIC,
  resourceName: 'denied',
  resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
  principal: 'User:ANONYMOUS',
  host: '*',
  operation: kafkajs.AclOperationTypes.WRITE,
  permissionType: kafkajs.AclPermissionTypes.DENY,
}
const right = { ...denial, operation: kafkajs.AclOperationTypes.ALL, permissionType: kafkajs.AclPermissionTypes.ALLOW }
// Whoever may not see a topic is told that there is none.
const sight = { ...right, operation: kafkajs.AclOperationTypes.DESCRIBE }

test.each([
  ['unmade', 'INVALID_REPLICATION_FACTOR', 'x'],
  ['denied', 'TOPIC_AUTHORIZATION_FAILED', 'x'],
  ['late', 'INVALID_TIMESTAMP', 'x'],
  ['small', 'RECORD_LIST_TOO_LARGE', 'x'.repeat(1.5 * 1024 * 1024)],
])(
  'a record for the topic %s, to which Kafka says %s, is refused alone, named with its reason and counted',
  async (topic, reason, payload) => {
    const { connect, drops, lines } = await bridgingBroker({
      brokers: [kafka.address],
      createTopics: true,
      linger: '100ms',
      topics: [{ filter: 't/+', to: '{topic[1]}' }],
    })
    const client = await connect()
    const outcomes = await Promise.allSettled([
      client.publishAsync('t/good', `1 beside ${topic}`, { qos: 1 }),
      client.publishAsync(`t/${topic}`, payload, { qos: 1 }),
      client.publishAsync('t/good', `2 beside ${topic}`, { qos: 1 }),
      client.publishAsync(`t/${topic}`, payload, { qos: 2 }),
    ])
    expect(outcomes.map(outcome => (outcome.status === 'rejected' ? outcome.reason.code : 0))).toEqual([0, 0x83, 0, 0x83])
    expect(drops.map(drop => drop.reason)).toEqual(['bridgeRefused', 'bridgeRefused'])
    expect(lines.find(({ message }) => message.includes(reason))?.message).toContain(`topic ${topic}`)
    expect(lines.some(({ message }) => message.includes('takes no messages'))).toBe(false)
    const values = (await reader.read('good', 2)).map(({ value }) => String(value)).filter(value => value.endsWith(` ${topic}`))
    expect([...new Set(values)]).toEqual([`1 beside ${topic}`, `2 beside ${topic}`])
  },
)

test('what was acknowledged before it was refused is parked, over a restart too, and sent when the topic takes it', async () => {
  const home = await folderWith()
  const bridge = { brokers: [kafka.address], topics: [{ filter: 't/+', to: '{topic[1]}' }] } as const
  const first = await bridgingBroker(bridge, { diskQueue: { path: home } })
  const client = await first.connect({ clientId: 'meter' })
  await client.publishAsync('t/denied', 'one', { qos: 1 })
  await client.publishAsync('t/good', 'parked beside', { qos: 1 })
  await client.publishAsync('t/denied', 'two', { qos: 2 })
  const parked = () => first.running.broker.services.get('bridge').parked('kafka')!
  await eventually(() => parked().length === 2)
  expect(first.drops).toEqual([])
  await eventually(() => parked().page(0, 10).length === 2)
  expect(parked().page(0, 10)).toMatchObject([
    { topic: 'denied', mqttTopic: 't/denied', clientId: 'meter', why: expect.stringContaining('TOPIC_AUTHORIZATION_FAILED') },
    { payload: Buffer.from('two') },
  ])
  expect(first.lines.find(({ message }) => message.includes('is parked'))?.message).toContain('TOPIC_AUTHORIZATION_FAILED, topic denied')
  await first.running.stop()

  await reader.administer(async admin => {
    await admin.deleteAcls({ filters: [denial] })
    await admin.createAcls({ acl: [right] })
  })
  const again = await bridgingBroker({ ...bridge, parked: 'resend' }, { diskQueue: { path: home } })
  expect((await reader.read('denied', 2)).map(({ value }) => String(value))).toEqual(['one', 'two'])
  await eventually(() => again.running.broker.services.get('bridge').parked('kafka')!.length === 0)
  await reader.administer(admin => admin.createAcls({ acl: [denial] }))
})

test('a topic that is deleted while it is written to costs its own messages only', async () => {
  await reader.createTopics({ doomed: 1 })
  const { connect, drops } = await bridgingBroker({ brokers: [kafka.address], topics: [{ filter: 't/+', to: '{topic[1]}' }] })
  const client = await connect()
  await client.publishAsync('t/doomed', 'while it is there', { qos: 1 })
  await reader.administer(admin => admin.deleteTopics({ topics: ['doomed'] }))
  const outcomes = await Promise.allSettled([
    client.publishAsync('t/doomed', 'gone', { qos: 1 }),
    client.publishAsync('t/good', 'goes on', { qos: 1 }),
  ])
  expect(outcomes.map(outcome => (outcome.status === 'rejected' ? outcome.reason.code : 0))).toEqual([0x83, 0])
  expect(drops.map(({ payload }) => payload)).toEqual(['gone'])
})
