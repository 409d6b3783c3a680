import { afterAll, beforeAll, expect, test } from 'vitest'
import { beforeAllBuilt } from '../config/built.ts'
import { folderWith } from '../config/folder.ts'
import { Command } from '../process/command.ts'
import { bridgingBroker, judgeNumbers, publishNumbers } from '../support/bridge.ts'
import { KafkaServer } from '../support/kafka.ts'
import { KafkaReader } from '../support/kafka-reader.ts'

// These end and freeze their Kafka, so it is always their own.
let kafka: KafkaServer
let reader: KafkaReader
const built = beforeAllBuilt()

beforeAll(async () => {
  kafka = await KafkaServer.start()
  reader = new KafkaReader(kafka.address)
}, 300_000)
afterAll(() => kafka?.stop())

const outage = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
const devices = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}-${index}`)

/** Resolves when the bridge has sent so many. */
function bridged(running: Awaited<ReturnType<typeof bridgingBroker>>['running'], count: number): Promise<void> {
  return new Promise(resolve => {
    let total = 0
    running.broker.services.get('bridge').onBridged.tap('bridged', ({ sent }) => {
      total += sent
      if (total >= count) resolve()
    })
  })
}

test('Kafka is killed for 10 s amid 20,000 messages, each at ack local and at ack kafka: none is lost, each key keeps its order', async () => {
  await reader.createTopics({ 'killed.local': 3, 'killed.kafka': 3 })
  const { running, lines } = await bridgingBroker(
    {
      brokers: [kafka.address],
      topics: [
        { filter: 'local/+', to: 'killed.local', ack: 'local' },
        { filter: 'kafka/+', to: 'killed.kafka', ack: 'kafka' },
      ],
    },
    { diskQueue: { path: await folderWith() } },
  )
  const [local, remote] = [devices('local', 20), devices('kafka', 20)]
  const begun = bridged(running, 5000)
  const publishing = [...local, ...remote].map((client, index) =>
    publishNumbers(running.port, client, `${client.split('-')[0]}/${client}`, 1000, index % 2 === 0 ? 5 : 4),
  )
  await begun
  await kafka.kill()
  await outage(10_000)
  await kafka.start()
  await Promise.all(publishing)
  const kept = await reader.read('killed.local', 20_000)
  const sent = await reader.read('killed.kafka', 20_000)
  expect(judgeNumbers(kept, local, 1000)).toMatchObject({ lost: 0, disordered: 0 })
  expect(judgeNumbers(sent, remote, 1000)).toMatchObject({ lost: 0, disordered: 0 })
  expect(lines.filter(({ message }) => message.includes('takes no messages')).length).toBeGreaterThan(0)
  expect(lines.filter(({ message }) => message.includes('takes messages again')).length).toBeGreaterThan(0)
})

test('Kafka hangs for longer than it may take to answer: what it acknowledges too late is not written twice, and nothing takes its place', async () => {
  await reader.createTopics({ frozen: 3 })
  const { running } = await bridgingBroker({
    brokers: [kafka.address],
    requestTimeout: '1s',
    topics: [{ filter: 'frozen/+', to: 'frozen', ack: 'kafka' }],
  })
  const clients = devices('frozen', 10)
  const begun = bridged(running, 1000)
  const publishing = clients.map(client => publishNumbers(running.port, client, `frozen/${client}`, 500))
  await begun
  kafka.freeze()
  try {
    await outage(4000)
  } finally {
    kafka.thaw()
  }
  await Promise.all(publishing)
  expect(judgeNumbers(await reader.read('frozen', 5000), clients, 500)).toEqual({ lost: 0, disordered: 0, repeated: 0 })
})

test('a broker that is killed with a filled queue on disk sends all of it when it runs again', async () => {
  await reader.createTopics({ refilled: 3 })
  const home = await folderWith()
  const args = ['--preset', 'test', '--port', '0', '--set', 'diskQueue.path=./queue', '--set', `messageBridge.brokers=["${kafka.address}"]`]
  args.push('--set', 'messageBridge.topics=[{"filter":"refilled/+","to":"refilled"}]', '--set', 'messageBridge.retryMax=200ms')
  await kafka.kill()
  const first = new Command(built.path('presets/bin.js'), home, args)
  const port = await first.ready()
  const clients = devices('refilled', 10)
  await Promise.all(clients.map(client => publishNumbers(port, client, `refilled/${client}`, 500)))
  first.signal('SIGKILL')
  await first.ended()
  await kafka.start()
  const second = new Command(built.path('presets/bin.js'), home, args)
  await second.ready()
  expect(judgeNumbers(await reader.read('refilled', 5000), clients, 500)).toMatchObject({ lost: 0, disordered: 0 })
  second.signal('SIGTERM')
  expect(await second.ended()).toBe(0)
})
