import type { ProtocolVersion } from '../protocol/constants.ts'
import { Decoder, type PacketSink } from '../protocol/decoder.ts'
import type { InboundPublish } from '../protocol/inbound-publish.ts'
import type { TopicCache } from '../protocol/topic-cache.ts'
import { Message } from './message.ts'
import { StoredFormatError } from './stored-message.ts'

/** What the PUBLISH of a message that another process of this broker has accepted does not say. */
export interface WireSource {
  /** The publisher's client id. */
  readonly clientId: string
  /** The publisher's user name; as `Message.username`. */
  readonly username: string | null | undefined
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number
}

/** Reads messages as they lie in what another process of this broker has sent: each a whole PUBLISH, read as one of a client is. */
export class WireReader implements PacketSink {
  readonly #topics: TopicCache
  #decoder: Decoder
  #from: WireSource | null
  #message: Message | null

  constructor(topics: TopicCache) {
    this.#topics = topics
    this.#decoder = this.#newDecoder()
    this.#from = null
    this.#message = null
  }

  read(bytes: Buffer, start: number, end: number, version: ProtocolVersion, from: WireSource): Message {
    this.#message = null
    this.#from = from
    this.#decoder.version = version
    this.#decoder.feed(bytes, start, end)
    if (this.#message !== null) return this.#message
    this.#decoder = this.#newDecoder()
    throw new StoredFormatError('another process of this broker has sent something that is not a whole PUBLISH')
  }

  onPublish(publish: InboundPublish): void {
    const { clientId, username, receivedAt } = this.#from!
    const { qos, retain, topic, properties } = publish
    this.#message = new Message(
      { topic, payload: noPayload, qos, retain, properties, origin: 'peer', clientId, username, receivedAt },
      publish,
    )
  }

  // Anything else is no message.
  onPacket(): void {}

  #newDecoder(): Decoder {
    return new Decoder(this, { maximumPacketSize: Number.POSITIVE_INFINITY, receiver: 'client', topics: this.#topics })
  }
}

const noPayload = Buffer.alloc(0)
