import kafkajs, { type KafkaMessage } from 'kafkajs'
import { eventually } from './eventually.ts'

export interface ReadMessage {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: Buffer
  readonly headers: NonNullable<KafkaMessage['headers']>
  readonly timestamp: number
}

/** Reads and arranges what lies in a Kafka, apart from the bridge. */
export class KafkaReader {
  readonly #kafka: kafkajs.Kafka
  #groups = 0

  constructor(address: string) {
    this.#kafka = new kafkajs.Kafka({
      clientId: 'reader',
      brokers: address.split(','),
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { retries: 20 },
    })
  }

  async createTopics(topics: Readonly<Record<string, number>>, configEntries: { name: string; value: string }[] = []): Promise<void> {
    const admin = this.#kafka.admin()
    await admin.connect()
    await admin.createTopics({
      waitForLeaders: false,
      topics: Object.entries(topics).map(([topic, numPartitions]) => ({ topic, numPartitions, replicationFactor: 1, configEntries })),
    })
    // A node may take a moment to learn of them; kafkajs takes that for an error.
    await eventually(() =>
      admin.fetchTopicMetadata({ topics: Object.keys(topics) }).then(
        () => true,
        () => false,
      ),
    )
    await admin.disconnect()
  }

  /** Does something as an administrator. */
  async administer(act: (admin: kafkajs.Admin) => Promise<unknown>): Promise<void> {
    const admin = this.#kafka.admin()
    await admin.connect()
    await act(admin)
    await admin.disconnect()
  }

  /** How many messages lie in a topic. */
  async count(topic: string): Promise<number> {
    const admin = this.#kafka.admin()
    await admin.connect()
    const offsets = await admin.fetchTopicOffsets(topic)
    await admin.disconnect()
    return offsets.reduce((sum, { high }) => sum + Number(high), 0)
  }

  /** All that lies in a topic, at least so many messages: waits for the last of them. Within a partition in Kafka's order. */
  async read(topic: string, atLeast = 0): Promise<ReadMessage[]> {
    const messages: ReadMessage[] = []
    const wanted = Math.max(atLeast, await this.count(topic))
    this.#groups += 1
    const consumer = this.#kafka.consumer({ groupId: `reader-${process.pid}-${Date.now()}-${this.#groups}` })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    try {
      await new Promise<void>((resolve, reject) => {
        if (wanted === 0) resolve()
        consumer
          .run({
            eachMessage: async ({ partition, message: { offset, key, value, headers, timestamp } }) => {
              messages.push({
                partition,
                offset: Number(offset),
                key: String(key),
                value: value!,
                headers: headers ?? {},
                timestamp: Number(timestamp),
              })
              if (messages.length >= wanted) resolve()
            },
          })
          .catch(reject)
      })
    } finally {
      await consumer.disconnect()
    }
    return messages
  }
}
