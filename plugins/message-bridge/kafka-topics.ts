import type { Admin, Kafka } from 'kafkajs'
import type { Clock } from '../../core/time/clock.ts'
import { rootOf } from './kafka-errors.ts'

// A topic that is not there is asked for again after so long: somebody may have made it.
const missingMs = 5000

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
  // When each was found missing.
  readonly #missing: Map<string, number>
  #admin: Admin | null

  constructor(kafka: () => Promise<Kafka>, clock: Clock, create: boolean) {
    this.#kafka = kafka
    this.#clock = clock
    this.#create = create
    this.#known = new Map()
    this.#missing = new Map()
    this.#admin = null
  }

  /** Those of the topics that are not there. Rejects where Kafka cannot say. */
  async missingOf(topics: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const missing = new Set<string>()
    const now = this.#clock.now()
    const unknown: string[] = []
    for (const topic of topics) {
      if (this.#known.has(topic)) continue
      if (now - (this.#missing.get(topic) ?? Number.NEGATIVE_INFINITY) < missingMs) missing.add(topic)
      else unknown.push(topic)
    }
    if (unknown.length === 0) return missing
    for (const topic of await this.#look(unknown)) {
      if (this.#missing.size > 10_000) this.#missing.clear()
      this.#missing.set(topic, now)
      missing.add(topic)
    }
    return missing
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

  // Returns those that are not there.
  async #look(topics: readonly string[]): Promise<string[]> {
    try {
      const admin = await this.#connected()
      const there = new Set(await admin.listTopics())
      const wanting = topics.filter(topic => !there.has(topic))
      if (wanting.length > 0 && this.#create) {
        await admin.createTopics({ waitForLeaders: true, topics: wanting.map(topic => ({ topic })) })
        for (const topic of wanting.splice(0)) there.add(topic)
      }
      const found = topics.filter(topic => there.has(topic))
      if (found.length > 0) {
        const { topics: metadata } = await admin.fetchTopicMetadata({ topics: found })
        for (const { name, partitions } of metadata) this.#known.set(name, { partitions: partitions.length, next: -1 })
      }
      return wanting
    } catch (error) {
      // A connection that has failed is not trusted again.
      await this.close()
      throw rootOf(error)
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
