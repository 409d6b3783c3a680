import type { Admin, Kafka } from 'kafkajs'
import type { Clock } from '../../core/time/clock.ts'
import { type KafkaError, reasonOf, rootOf, typeOf, verdictOf } from './kafka-errors.ts'

// A topic that is not there, or that Kafka takes nothing for, is asked for again after so long: somebody may have seen to it.
const refusedMs = 5000
const refusedMax = 10_000

/** Why Kafka takes nothing for a topic. */
export interface TopicRefusal {
  /** Kafka's own word for it, or `NO_TOPIC`. */
  readonly reason: string
  readonly why: string
}

interface Topic {
  readonly partitions: number
  next: number
}

/**
 * Which topics there are. kafkajs, asked to send to one that is missing, tries for ten seconds and then fails everything that was to be sent along with it; so
 * they are looked up first, once each.
 */
export class KafkaTopics {
  readonly #kafka: () => Promise<Kafka>
  readonly #clock: Clock
  readonly #create: boolean
  readonly #known: Map<string, Topic>
  readonly #refused: Map<string, TopicRefusal & { readonly since: number }>
  #admin: Admin | null

  constructor(kafka: () => Promise<Kafka>, clock: Clock, create: boolean) {
    this.#kafka = kafka
    this.#clock = clock
    this.#create = create
    this.#known = new Map()
    this.#refused = new Map()
    this.#admin = null
  }

  /** Those of the topics that nothing can be sent to, and why. Rejects where Kafka cannot say. */
  async refusedOf(topics: ReadonlySet<string>): Promise<ReadonlyMap<string, TopicRefusal>> {
    const refused = new Map<string, TopicRefusal>()
    const now = this.#clock.now()
    const unknown: string[] = []
    for (const topic of topics) {
      if (this.#known.has(topic)) continue
      const refusal = this.#refused.get(topic)
      if (refusal !== undefined && now - refusal.since < refusedMs) refused.set(topic, refusal)
      else unknown.push(topic)
    }
    if (unknown.length === 0) return refused
    for (const [topic, refusal] of await this.#look(unknown)) {
      this.refuse(topic, refusal)
      refused.set(topic, refusal)
    }
    return refused
  }

  /** Nothing is sent to this topic for a while. */
  refuse(topic: string, { reason, why }: TopicRefusal): void {
    this.#known.delete(topic)
    if (this.#refused.size >= refusedMax) this.#refused.clear()
    this.#refused.set(topic, { reason, why, since: this.#clock.now() })
  }

  /** The partitions of a topic that is there, in turn. */
  nextPartition(name: string): number {
    const topic = this.#known.get(name)!
    topic.next = (topic.next + 1) % topic.partitions
    return topic.next
  }

  /** Asks again for all of them: one may have been deleted. */
  forget(): void {
    this.#known.clear()
  }

  /** The names of all topics. */
  async all(): Promise<string[]> {
    return (await this.#connected()).listTopics()
  }

  async close(): Promise<void> {
    const admin = this.#admin
    this.#admin = null
    await admin?.disconnect().catch(() => {})
  }

  // Those that nothing can be sent to; of the others it knows the partitions then.
  async #look(topics: readonly string[]): Promise<ReadonlyMap<string, TopicRefusal>> {
    try {
      const admin = await this.#connected()
      const there = new Set(await admin.listTopics())
      const wanting = topics.filter(topic => !there.has(topic))
      const refused = new Map<string, TopicRefusal>()
      if (wanting.length > 0 && this.#create) await this.#make(admin, wanting, refused)
      else for (const topic of wanting) refused.set(topic, missing(topic))
      await this.#learn(
        admin,
        topics.filter(topic => !refused.has(topic)),
        refused,
      )
      return refused
    } catch (error) {
      // A connection that has failed is not trusted again.
      await this.close()
      throw rootOf(error)
    }
  }

  async #make(admin: Admin, topics: readonly string[], refused: Map<string, TopicRefusal>): Promise<void> {
    try {
      await admin.createTopics({ waitForLeaders: true, topics: topics.map(topic => ({ topic })) })
    } catch (error) {
      // Kafka has an answer for each topic that it did not make; the others are there.
      const { errors } = rootOf(error) as KafkaError & { errors?: readonly (KafkaError & { readonly topic?: string })[] }
      if (errors === undefined) throw error
      let away: KafkaError | undefined
      for (const one of errors) {
        const type = typeOf(one)
        const verdict = verdictOf(one)
        if (type === 'TOPIC_ALREADY_EXISTS') continue
        // Rights on the cluster are asked for here for the sake of one topic.
        if (one.topic === undefined || (type !== 'CLUSTER_AUTHORIZATION_FAILED' && (verdict === 'away' || verdict === 'partly'))) away = one
        else refused.set(one.topic, { reason: type ?? 'REFUSED', why: `Kafka does not make topic ${one.topic} (${type}): ${cureOf(one)}` })
      }
      if (away !== undefined && refused.size === 0) throw away
    }
  }

  async #learn(admin: Admin, topics: readonly string[], refused: Map<string, TopicRefusal>): Promise<void> {
    if (topics.length === 0) return
    try {
      const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] })
      for (const { name, partitions } of found) this.#known.set(name, { partitions: partitions.length, next: -1 })
    } catch (error) {
      const root = rootOf(error)
      const verdict = verdictOf(root)
      // One that was just made, or deleted, is not known everywhere: what the next look finds counts.
      if (verdict !== 'topic' && verdict !== 'partly') throw error
      if (topics.length === 1) {
        if (verdict === 'partly') throw error
        refused.set(topics[0]!, { reason: typeOf(root)!, why: reasonOf(root) })
        return
      }
      // One of them is to blame for the answer, and it does not say which.
      let failed: unknown
      for (const one of topics) {
        try {
          await this.#learn(admin, [one], refused)
        } catch (cause) {
          failed = cause
        }
      }
      if (failed !== undefined && refused.size === 0) throw failed
    }
  }

  async #connected(): Promise<Admin> {
    if (this.#admin !== null) return this.#admin
    const admin = (await this.#kafka()).admin()
    await admin.connect()
    this.#admin = admin
    return admin
  }
}

function missing(topic: string): TopicRefusal {
  return {
    reason: 'NO_TOPIC',
    why: `Kafka has no topic ${topic}, or its user may not see it; create it, give DESCRIBE and WRITE, or set messageBridge.createTopics: true`,
  }
}

function cureOf(error: KafkaError): string {
  const noRight = 'the user of messageBridge.sasl may not make topics; give it CREATE on the cluster in Kafka, or make the topic yourself'
  return typeOf(error) === 'CLUSTER_AUTHORIZATION_FAILED' ? noRight : reasonOf(error)
}
