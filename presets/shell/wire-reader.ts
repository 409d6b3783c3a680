import { Message } from '../../core/messages/message.ts'
import { decodeBody } from '../../core/protocol/bodies.ts'
import type { ProtocolVersion } from '../../core/protocol/constants.ts'
import { Decoder, type PacketSink, type Peer } from '../../core/protocol/decoder.ts'
import { clientFaults } from '../../core/protocol/headers.ts'
import type { InboundPublish } from '../../core/protocol/inbound-publish.ts'
import type { TopicCache } from '../../core/protocol/topic-cache.ts'
import { StoredFormatError } from '../../plugins/kit/stored-message.ts'
import type { WireSource } from '../../plugins/kit/wire-source.ts'

// No CONNECT comes first.
const peer: Peer = { faults: clientFaults, body: decodeBody }

/** Reads messages as they lie in what another process of this broker has sent: each a whole PUBLISH, read as one of a client is. */
export class WireReader implements PacketSink {
  readonly #topics: TopicCache
  #decoder: Decoder
  #from: WireSource | null = null
  #message: Message | null = null

  constructor(topics: TopicCache) {
    this.#topics = topics
    this.#decoder = this.#newDecoder()
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
    return new Decoder(this, { maximumPacketSize: Number.POSITIVE_INFINITY, peer, topics: this.#topics })
  }
}

const noPayload = Buffer.alloc(0)
