import type { Client } from '../../core/connection/client.ts'
import type { Meter } from '../../core/connection/meter.ts'
import type { LimitName } from '../../core/counter-names.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { PublishVerdict } from '../../core/refusals.ts'
import type { LimitLog } from './limit-log.ts'
import type { MemoryWatch } from './memory-watch.ts'
import { type PausedClients, sliceMs } from './paused-clients.ts'
import type { TokenBucket } from './token-bucket.ts'

/** What one client id may send: it outlasts a connection, so that nobody gets a new burst by connecting again. */
export interface ClientBuckets {
  readonly messages: TokenBucket | null
  readonly bytes: TokenBucket | null
}

/** What all meters have in common. */
export interface Metering {
  readonly overRate: 'pause' | 'refuse' | 'disconnect'
  readonly paused: PausedClients
  readonly memory: MemoryWatch | null
  readonly log: LimitLog
}

/** Counts one client's messages and bytes, and sees to what happens when there are too many. */
export class ClientMeter implements Meter {
  readonly buckets: ClientBuckets
  readonly #client: Client
  readonly #metering: Metering
  readonly #messages: TokenBucket | null
  readonly #bytes: TokenBucket | null
  readonly #memory: MemoryWatch | null
  readonly #refuses: boolean

  constructor(client: Client, buckets: ClientBuckets, metering: Metering) {
    this.buckets = buckets
    this.#client = client
    this.#metering = metering
    this.#messages = buckets.messages
    this.#bytes = buckets.bytes
    this.#memory = metering.memory
    this.#refuses = metering.overRate === 'refuse'
  }

  read(bytes: number): void {
    const bucket = this.#bytes
    if (bucket === null || this.#refuses || bucket.take(bytes)) return
    this.#over('byteRate', bucket)
  }

  publish(publish: Readonly<InboundPublish>): PublishVerdict | undefined {
    const memory = this.#memory
    if (memory?.slows === true) {
      const verdict = memory.publish(this.#client, publish.qos)
      if (verdict !== undefined) return verdict
    }
    const messages = this.#messages
    if (this.#refuses) return this.#refusal(publish.end - publish.start)
    if (messages !== null && !messages.take(1)) this.#over('messageRate', messages)
    return undefined
  }

  // A refused message costs nothing, or a client that does not slow down would never be heard again.
  #refusal(size: number): PublishVerdict | undefined {
    const messages = this.#messages
    const bytes = this.#bytes
    if (messages?.open === false) return this.#refuse('messageRate', 'too many messages a second')
    if (bytes?.open === false) return this.#refuse('byteRate', 'too many bytes a second')
    messages?.take(1)
    bytes?.take(size)
    return undefined
  }

  #refuse(limit: LimitName, reasonString: string): PublishVerdict {
    this.#metering.log.hit(limit, `messages are refused: ${reasonString}`, () => this.#who())
    return { reasonCode: ReasonCode.QuotaExceeded, reasonString }
  }

  #over(limit: 'messageRate' | 'byteRate', bucket: TokenBucket): void {
    const client = this.#client
    if (client.closed) return
    const { overRate, paused, log } = this.#metering
    const what = limit === 'messageRate' ? 'too many messages a second' : 'too many bytes a second'
    if (overRate === 'pause') {
      log.hit(limit, `a client is paused: ${what}`, () => this.#who())
      paused.pause(client, bucket.wait(sliceMs))
    } else {
      log.hit(limit, `a client is disconnected: ${what}`, () => this.#who())
      client.close(ReasonCode.MessageRateTooHigh, what)
    }
  }

  #who(): object {
    const { clientId, remoteAddress: address } = this.#client
    return { clientId, address }
  }
}
