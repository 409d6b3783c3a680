import type { Kafka, Message as KafkaMessage, Producer, TopicMessages } from 'kafkajs'
import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { type BridgeRecord, type BridgeSender, type BridgeTarget, RecordsRefusedError } from '../kit/services/bridge-target.ts'
import { createKafka, retry } from './kafka-client.ts'
import { encodingFault } from './kafka-encoding.ts'
import { explain, judged, type KafkaError, reasonOf, rootOf, typeOf, verdictOf } from './kafka-errors.ts'
import { createKeyPartitioner } from './kafka-partitioner.ts'
import { KafkaTopics } from './kafka-topics.ts'
import type { BridgeOptions } from './rules.ts'

const nameMax = 249
// No batch of usual messages is as large (messageBridge.batchBytes).
const largeBytes = 4 * 1024 * 1024
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
  // Sent, and Kafka has not said that it has them: until then the producer's numbers stand for these.
  #unsettled: readonly BridgeRecord[] | null

  constructor(kafka: () => Promise<Kafka>, topics: KafkaTopics, options: BridgeOptions) {
    this.#kafka = kafka
    this.#topics = topics
    this.#options = options
    this.#producer = null
    this.#prepared = null
    this.#unsettled = null
  }

  async send(records: readonly BridgeRecord[]): Promise<void> {
    try {
      if (this.#unsettled !== null && this.#unsettled !== records) await this.#drop()
      const { topicMessages } = await this.#prepare(records)
      const producer = this.#producer ?? (await this.#connect())
      const { acks, compression, requestTimeout } = this.#options
      this.#unsettled = records
      await producer.sendBatch({
        topicMessages,
        acks: acksCodes[acks],
        compression: compressionCodes[compression],
        timeout: requestTimeout,
      })
      this.#prepared = null
      this.#unsettled = null
    } catch (error) {
      throw await this.#judge(error, records)
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
    const [refused] = await this.#topics.refusedOf(names)
    if (refused !== undefined) {
      const [name, { reason, why }] = refused
      throw new RecordsRefusedError(indexesOf(records, name), why, { reason })
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

  async #judge(error: unknown, records: readonly BridgeRecord[]): Promise<Error> {
    if (error instanceof RecordsRefusedError) return error
    const root = rootOf(error)
    const verdict = verdictOf(root)
    const topics = this.#prepared?.topicMessages ?? []
    const [only] = topics
    if (root instanceof TypeError || root instanceof RangeError) {
      const fault = this.#unencodable(topics, records)
      if (fault !== null) {
        await this.#drop()
        return fault
      }
    }
    if (verdict === 'topic' && topics.length === 1) {
      await this.#drop()
      const reason = typeOf(root)!
      this.#topics.refuse(only!.topic, { reason, why: reasonOf(root) })
      return new RecordsRefusedError(indexesOf(records, only!.topic), reasonOf(root), { cause: root, reason })
    }
    // What was numbered but not taken leaves a hole that Kafka does not forgive.
    if (verdict === 'record' || verdict === 'topic' || verdict === 'renew') await this.#drop()
    if (typeOf(root) === 'UNKNOWN_TOPIC_OR_PARTITION') {
      this.#topics.forget()
      this.#prepared = null
      // It would ask for the topic for ever, and get no answer about the others.
      await this.#drop()
    }
    // Kafka closes the connection on what is larger than its socket.request.max.bytes, without a word.
    if (isClosed(root) && bytesOf(records) > largeBytes)
      return new Error(`${explain(root)}; or it is too large for Kafka's socket.request.max.bytes`)
    return judged(root)
  }

  /** Those of which kafkajs can make no record, where there are any. */
  #unencodable(topics: readonly TopicMessages[], records: readonly BridgeRecord[]): RecordsRefusedError | null {
    for (const { topic, messages } of topics) {
      const indexes = indexesOf(records, topic)
      const faults = messages.map(encodingFault)
      const first = faults.find(fault => fault !== null)
      if (first === undefined || first === null) continue
      const refused = indexes.filter((_index, at) => faults[at] !== null)
      return new RecordsRefusedError(refused, `kafkajs can make no record of it: ${first.message}`, { cause: first, reason: 'ENCODING' })
    }
    return null
  }

  async #drop(): Promise<void> {
    const producer = this.#producer
    this.#producer = null
    this.#unsettled = null
    await producer?.disconnect().catch(() => {})
  }
}

function indexesOf(records: readonly BridgeRecord[], name: string): number[] {
  return records.flatMap(({ topic }, index) => (topic === name ? [index] : []))
}

function bytesOf(records: readonly BridgeRecord[]): number {
  return records.reduce((sum, { value }) => sum + value.length, 0)
}

function isClosed({ name, code }: KafkaError): boolean {
  return name === 'KafkaJSConnectionClosedError' || code === 'ECONNRESET' || code === 'EPIPE'
}
