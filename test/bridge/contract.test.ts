import { afterAll, beforeAll, describe, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { checkOptions } from '../../plugins/kit/options/validation.ts'
import { SystemClock } from '../../plugins/kit/system-clock.ts'
import { KafkaTarget } from '../../plugins/message-bridge/kafka-target.ts'
import { messageBridgeManifest } from '../../plugins/message-bridge/manifest.ts'
import type { BridgeOptions } from '../../plugins/message-bridge/rules.ts'
import { type BridgeOwner, bridgeContract, type TargetOwner, targetContract } from '../contracts/suite/index.ts'
import { eventually } from '../support/eventually.ts'
import { KafkaServer } from '../support/kafka.ts'
import { KafkaReader } from '../support/kafka-reader.ts'

// Goal: the target for Kafka, and the bridge by way of it, pass what is asked of any target and any bridge.

const runner = { describe, it }
let kafka: KafkaServer
let reader: KafkaReader
let topics = 0

beforeAll(async () => {
  kafka = await KafkaServer.start()
  reader = new KafkaReader(kafka.address)
}, 300_000)
afterAll(() => kafka?.stop())

// What this topic takes is smaller than anything that a client sends.
const tiny = [{ name: 'max.message.bytes', value: '20' }]

async function topic(settings: typeof tiny = []): Promise<string> {
  const name = `contract.${topics++}`
  await reader.createTopics({ [name]: 1 }, settings)
  return name
}

const away = async () => {
  await kafka.kill()
  return async () => {
    await kafka.start()
    // It serves before it knows again that it is the leader of all that it has.
    const known = Array.from({ length: topics }, (_, number) => `contract.${number}`)
    const count = (name: string) =>
      reader
        .count(name)
        .then(() => true)
        .catch(() => false)
    for (const name of known) await eventually(() => count(name))
  }
}

const target: TargetOwner = {
  name: 'for Kafka',
  create() {
    const given = { brokers: [kafka.address], requestTimeout: '5s' }
    const options = checkOptions(messageBridgeManifest.options, given, 'messageBridge') as BridgeOptions
    return new KafkaTarget(options, '.', new SystemClock(), silentLog)
  },
  place: () => topic(),
  refusing: () => topic(tiny),
  async read(place) {
    const found = await reader.read(place)
    return found.map(({ key, value, headers, timestamp }) => {
      // kafkajs, reading, takes what every object has for an earlier header.
      const texts = Object.entries(headers).flatMap(([name, given]) =>
        [given]
          .flat()
          .filter(Buffer.isBuffer)
          .map(one => [name, String(one)] as const),
      )
      return { key, value, timestamp, headers: texts }
    })
  },
  away,
}
targetContract(runner, target)

let place = ''
const bridge: BridgeOwner = {
  name: 'to Kafka',
  async config() {
    place = await topic()
    const refusing = await topic(tiny)
    return {
      messageBridge: {
        brokers: [kafka.address],
        retryMax: '200ms',
        topics: [
          { filter: 'contract/a', to: place, ack: 'kafka' },
          { filter: 'contract/refused', to: refusing, ack: 'kafka' },
        ],
      },
    }
  },
  refused: { topic: 'contract/refused', payload: 'too large for this one' },
  read: async atLeast => (await reader.read(place, atLeast)).map(({ value }) => value),
  away,
}
bridgeContract(runner, bridge)
