import type { Kafka, Message as KafkaMessage, Producer, TopicMessages } from 'kafkajs'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { type BridgeRecord, type BridgeSender, type BridgeTarget, RecordsRefusedError } from '../kit/services/bridge-target.ts'
import { createKafka, retry } from './kafka-client.ts'
import { explain, needsNewProducer, refusalOf, rootOf } from './kafka-errors.ts'
import { createKeyPartitioner } from './kafka-partitioner.ts'
import { KafkaTopics } from './kafka-topics.ts'
import type { BridgeOptions } from './rules.ts'

const nameMax = 249
const acksCodes = { all: -1, leader: 1, none: 0 } as const
const compressionCodes = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

/** Apache Kafka, by kafkajs. */
export class KafkaTarget implements BridgeTarget {
  readonly name = 'kafka'
  readonly place: string
  readonly #options: BridgeOptions
  readonly #kafka: () => Promise<Kafka>
  readonly #topics: KafkaTopics
  readonly #clock: Clock

  constructor(options: BridgeOptions, folder: string, clock: Clock, log: Log) {
    if (options.idempotent && options.acks !== 'all') {
      throw new OperatorError(
        'ERR_CONFIG',
        `messageBridge.acks: ${options.acks} does not go with idempotent; set messageBridge.idempotent: false`,
      )
    }
    this.place = options.brokers.join(', ')
    this.#options = options
    this.#clock = clock
    let kafka: Promise<Kafka> | undefined
    this.#kafka = () => (kafka ??= createKafka(options, folder, log))
    this.#topics = new KafkaTopics(this.#kafka, clock, options.createTopics)
  }

  /** What can only be wrong in the config is said at the start. */
  async check(): Promise<void> {
    await this.#kafka()
  }

  legalName(text: string): string | null {
    const name = text.replaceAll('/', '.').replace(/[^A-Za-z0-9._-]/g, '_')
    if (name.length === 0 || name.length > nameMax) return null
    return name === '.' || name === '..' ? name.replaceAll('.', '_') : name
  }

  createSender(): BridgeSender {
    return new KafkaSender(this.#kafka, this.#topics, this.#options)
  }

  async probe(): Promise<string> {
    // With a connection of its own: that of the lanes goes on.
    const own = new KafkaTopics(this.#kafka, this.#clock, false)
    try {
      const topics = await own.all()
      return `Kafka at ${this.place} answers and has ${topics.filter(name => !name.startsWith('__')).length} topics`
    } catch (error) {
      if (error instanceof OperatorError) throw error
      throw new OperatorError('ERR_KAFKA', `messageBridge.brokers: Kafka at ${this.place}: ${explain(rootOf(error))}`, { cause: error })
    } finally {
      await own.close()
    }
  }

  async close(): Promise<void> {
    await this.#topics.close()
  }
}

/** How kafkajs has to be told: one topic's messages each, the same objects at every attempt. */
interface Prepared {
  readonly records: readonly BridgeRecord[]
  readonly topicMessages: TopicMessages[]
}

/**
 * One producer. Idempotence holds only where one `send` is awaited at a time, what failed is sent again unchanged before anything else, and every message has a
 * key or a partition: otherwise Kafka takes the next batch for the one that it has, and loses it without a word.
 */
class KafkaSender implements BridgeSender {
  readonly #kafka: () => Promise<Kafka>
  readonly #topics: KafkaTopics
  readonly #options: BridgeOptions
  #producer: Producer | null
  #prepared: Prepared | null

  constructor(kafka: () => Promise<Kafka>, topics: KafkaTopics, options: BridgeOptions) {
    this.#kafka = kafka
    this.#topics = topics
    this.#options = options
    this.#producer = null
    this.#prepared = null
  }

  async send(records: readonly BridgeRecord[]): Promise<void> {
    try {
      const { topicMessages } = await this.#prepare(records)
      const producer = this.#producer ?? (await this.#connect())
      const { acks, compression, requestTimeout } = this.#options
      await producer.sendBatch({
        topicMessages,
        acks: acksCodes[acks],
        compression: compressionCodes[compression],
        timeout: requestTimeout,
      })
      this.#prepared = null
    } catch (error) {
      throw await this.#judge(error)
    }
  }

  async close(): Promise<void> {
    await this.#drop()
  }

  async #prepare(records: readonly BridgeRecord[]): Promise<Prepared> {
    if (this.#prepared?.records === records) return this.#prepared
    this.#prepared = null
    const names = new Set<string>()
    for (const { topic } of records) names.add(topic)
    const missing = await this.#topics.missingOf(names)
    if (missing.size > 0) {
      const indexes = records.flatMap(({ topic }, index) => (missing.has(topic) ? [index] : []))
      const names = [...missing].slice(0, 5).join(', ')
      throw new RecordsRefusedError(indexes, `Kafka has no topic ${names}; create it, or set messageBridge.createTopics: true`)
    }
    const byTopic = new Map<string, KafkaMessage[]>()
    const inTurn = this.#options.partitioner === 'roundRobin'
    for (const { topic, key, value, headers, timestamp } of records) {
      let messages = byTopic.get(topic)
      if (messages === undefined) {
        messages = []
        byTopic.set(topic, messages)
      }
      const message: KafkaMessage = { key, value, headers: headers as NonNullable<KafkaMessage['headers']>, timestamp: String(timestamp) }
      if (inTurn) message.partition = this.#topics.nextPartition(topic)
      messages.push(message)
    }
    const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }))
    this.#prepared = { records, topicMessages }
    return this.#prepared
  }

  async #connect(): Promise<Producer> {
    const { idempotent } = this.#options
    const producer = (await this.#kafka()).producer({
      idempotent,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry,
      createPartitioner: createKeyPartitioner,
    })
    await producer.connect()
    this.#producer = producer
    return producer
  }

  async #judge(error: unknown): Promise<Error> {
    if (error instanceof RecordsRefusedError || error instanceof OperatorError) return error
    const root = rootOf(error)
    const refusal = refusalOf(root)
    if (refusal !== undefined) {
      // What was numbered but not taken leaves a hole that Kafka does not forgive.
      await this.#drop()
      return new RecordsRefusedError([], refusal, { cause: root })
    }
    if (needsNewProducer(root)) await this.#drop()
    if (root.type === 'UNKNOWN_TOPIC_OR_PARTITION') {
      this.#topics.forget()
      this.#prepared = null
    }
    return new Error(explain(root), { cause: root })
  }

  async #drop(): Promise<void> {
    const producer = this.#producer
    this.#producer = null
    await producer?.disconnect().catch(() => {})
  }
}
