import type { Broker } from '../../core/broker.ts'
import { isClient } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'
import type { Publisher } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import { ByTopic } from '../kit/by-topic.ts'
import type { LimitLog } from './limit-log.ts'
import { type PausedClients, sliceMs } from './paused-clients.ts'
import { rateOf } from './rate.ts'
import { TokenBucket } from './token-bucket.ts'

export interface TopicRateOptions {
  readonly filter: string
  readonly messagesPerSecond: number
  readonly messageBurst: number | null
  readonly overRate: 'pause' | 'refuse' | 'disconnect' | 'drop'
}

interface TopicRate extends TopicRateOptions {
  readonly bucket: TokenBucket
}

/** Rates of topics, each shared by all who publish there. */
export class TopicRates {
  readonly #rates: ByTopic<TopicRate>
  readonly #paused: PausedClients
  readonly #log: LimitLog

  constructor(broker: Broker, rates: readonly TopicRateOptions[], paused: PausedClients, log: LimitLog) {
    this.#rates = new ByTopic(
      rates.map(options => {
        const rate = rateOf(options.messagesPerSecond, options.messageBurst)!
        return { ...options, bucket: new TokenBucket(broker, rate.perSecond, rate.burst) }
      }),
    )
    this.#paused = paused
    this.#log = log
  }

  /** Bytes that what is known of topic names keeps. */
  get bytes(): number {
    return this.#rates.bytes
  }

  /** Forgets what is known of topic names; the rates stay. */
  clear(): void {
    this.#rates.clear()
  }

  /** `onPublish`. */
  judge(publisher: Publisher, { topic }: Message): PublishVerdict | undefined {
    const rates = this.#rates.of(topic)
    // First who says no, so that a message which one filter refuses costs the others nothing.
    for (let i = 0; i < rates.length; i++) {
      const rate = rates[i]!
      if (rate.overRate !== 'pause' && !rate.bucket.open) return this.#over(rate, publisher, topic)
    }
    for (let i = 0; i < rates.length; i++) {
      const { bucket, overRate } = rates[i]!
      if (!bucket.take(1) && overRate === 'pause') this.#pause(rates[i]!, publisher, topic)
    }
    return undefined
  }

  #over({ filter, overRate }: TopicRate, publisher: Publisher, topic: string): PublishVerdict {
    const { clientId } = publisher
    const reasonString = `too many messages a second to ${filter}`
    const done = overRate === 'drop' ? 'dropped' : overRate === 'refuse' ? 'refused' : 'refused, their publishers disconnected'
    this.#log.hit('topicRate', `messages are ${done}: ${reasonString}`, () => ({ clientId, topic }))
    if (overRate === 'drop') return 'drop'
    if (overRate === 'disconnect' && isClient(publisher)) publisher.close(ReasonCode.MessageRateTooHigh, reasonString)
    return { reasonCode: ReasonCode.QuotaExceeded, reasonString }
  }

  // The bucket goes into debt, so of many who share it each waits for its own turn. A will cannot wait; it takes its share.
  #pause({ filter, bucket }: TopicRate, publisher: Publisher, topic: string): void {
    if (!isClient(publisher) || publisher.closed) return
    const { clientId } = publisher
    this.#log.hit('topicRate', `publishers are paused: too many messages a second to ${filter}`, () => ({ clientId, topic }))
    this.#paused.pause(publisher, bucket.wait(sliceMs))
  }
}
