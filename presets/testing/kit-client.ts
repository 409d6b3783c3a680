import type { Duplex } from 'node:stream'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { ConnackPacket, Packet, Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { encodePacket, PacketDecoder } from './packet-codec.ts'
import { Received, type ReceivedMessage } from './received.ts'

/** How a client of a test broker connects. */
export interface KitClientOptions {
  /** 5 (default), 4 for MQTT 3.1.1, 3 for 3.1. */
  readonly version?: ProtocolVersion
  /** Default: none. */
  readonly username?: string
  /** Default: none. */
  readonly password?: string
  /** `false`: the session is kept when the connection has gone, for an hour, and taken up by the next `client` of this id. Default true. */
  readonly cleanStart?: boolean
  /** What is published where the connection is lost. Default: nothing. */
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos?: QoS; readonly retain?: boolean }
  /** The client's address as the broker sees it. Default `memory`. */
  readonly remoteAddress?: string
}

/** How a client of a test broker publishes. */
export interface KitPublishOptions {
  /** Default 0. */
  readonly qos?: QoS
  /** Default false. */
  readonly retain?: boolean
  /** The MQTT 5 properties. Default: none. */
  readonly properties?: Properties
}

/** A client in memory that acknowledges what it gets, and says what was answered: for tests that want no MQTT library. */
export class KitClient {
  readonly #stream: Duplex
  readonly #version: ProtocolVersion
  readonly #received = new Received()
  readonly #answers: { readonly type: number; readonly packetId: number; resolve(packet: Packet): void; reject(error: Error): void }[] = []
  readonly #aliases = new Map<number, string>()
  #lastId = 0
  #losing = 0
  #closed = false

  private constructor(stream: Duplex, version: ProtocolVersion) {
    this.#stream = stream
    this.#version = version
    const onPacket = (packet: Packet): void => this.#came(packet)
    const decoder = new PacketDecoder({ onPacket }, { maximumPacketSize: 268_435_460, receiver: 'client' })
    decoder.version = version
    stream.on('data', (chunk: Buffer) => decoder.feed(chunk, 0, chunk.length))
    stream.on('error', () => {})
    stream.on('close', () => {
      this.#closed = true
      for (const { reject } of this.#answers.splice(0)) reject(new Error('the connection has closed'))
    })
    stream.on('end', () => stream.destroy())
  }

  /** Rejects where the broker refuses it, with the reason code. @internal */
  static async connect(stream: Duplex, clientId: string, options: KitClientOptions): Promise<KitClient> {
    const { version = 5, username, password, cleanStart = true, will } = options
    const client = new KitClient(stream, version)
    const answer = client.#answer<ConnackPacket>(PacketType.Connack, 0)
    client.#send({
      type: PacketType.Connect,
      version,
      bridge: false,
      clientId,
      cleanStart,
      keepAlive: 0,
      username,
      password: password === undefined ? undefined : Buffer.from(password),
      will: will && {
        topic: will.topic,
        payload: Buffer.from(will.payload),
        qos: will.qos ?? 0,
        retain: will.retain ?? false,
        properties: undefined,
      },
      properties: version === 5 && !cleanStart ? { sessionExpiry: 3600 } : undefined,
    })
    const { reasonCode } = await answer
    if (reasonCode !== 0) throw new Error(`client ${clientId}: refused with 0x${reasonCode.toString(16).padStart(2, '0')}`)
    return client
  }

  /** Whether the connection has gone. */
  get closed(): boolean {
    return this.#closed
  }

  /** Every message that came, in order, as the client got it. */
  get messages(): readonly ReceivedMessage[] {
    return this.#received.messages
  }

  /** Resolves to the QoS that was granted, or the reason code of the refusal, 0x80 or above. */
  async subscribe(filter: string, qos: QoS = 0): Promise<number> {
    const packetId = this.#nextId()
    const answer = this.#answer(PacketType.Suback, packetId)
    const subscriptions = [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }]
    this.#send({ type: PacketType.Subscribe, packetId, subscriptions, properties: undefined })
    return ((await answer) as { reasonCodes: number[] }).reasonCodes[0]!
  }

  /** Resolves to 0, or the reason code; always 0 before MQTT 5. */
  async unsubscribe(filter: string): Promise<number> {
    const packetId = this.#nextId()
    const answer = this.#answer(PacketType.Unsuback, packetId)
    this.#send({ type: PacketType.Unsubscribe, packetId, filters: [filter], properties: undefined })
    return ((await answer) as { reasonCodes: number[] }).reasonCodes[0] ?? 0
  }

  /** Resolves to the reason code of PUBACK or PUBREC when the handshake is over, and to 0 at once at QoS 0. Rejects where the connection closes before. */
  async publish(
    topic: string,
    payload: string | Buffer = '',
    { qos = 0, retain = false, properties }: KitPublishOptions = {},
  ): Promise<number> {
    const packetId = qos === 0 ? 0 : this.#nextId()
    const answer = qos === 0 ? null : this.#answer<{ reasonCode: number }>(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId)
    this.#send({ type: PacketType.Publish, topic, payload: Buffer.from(payload), qos, retain, dup: false, packetId, properties })
    if (answer === null) return 0
    const { reasonCode } = await answer
    if (qos === 1 || reasonCode >= 0x80) return reasonCode
    const over = this.#answer(PacketType.Pubcomp, packetId)
    this.#ack(PacketType.Pubrel, packetId)
    await over
    return reasonCode
  }

  /** The next message that matches a topic filter and that this filter was not given yet; rejects after `timeoutMs` (default 5000) of real time. */
  received(filter = '#', timeoutMs = 5000): Promise<ReceivedMessage> {
    return this.#received.next(filter, timeoutMs)
  }

  /**
   * The next messages to this client are lost on the way: it does not see them and acknowledges nothing. Those of QoS 1 and 2 are sent again when its session is taken up (`cleanStart:
   * false`).
   */
  losePublish(count = 1): void {
    this.#losing += count
  }

  /** Breaks the connection off, without a DISCONNECT: the will is due. */
  lose(): void {
    this.#stream.destroy()
  }

  /** Says DISCONNECT and closes: no will. */
  disconnect(): void {
    this.#send({ type: PacketType.Disconnect, reasonCode: 0, properties: undefined })
    this.#stream.end()
  }

  #answer<P = Packet>(type: number, packetId: number): Promise<P> {
    if (this.#closed) return Promise.reject(new Error('the connection has closed'))
    return new Promise((resolve, reject) => this.#answers.push({ type, packetId, resolve: resolve as (packet: Packet) => void, reject }))
  }

  #came(packet: Packet): void {
    if (packet.type === PacketType.Publish) return this.#message(packet)
    const packetId = 'packetId' in packet ? packet.packetId : 0
    if (packet.type === PacketType.Pubrel) return this.#ack(PacketType.Pubcomp, packetId)
    const at = this.#answers.findIndex(wanted => wanted.type === packet.type && wanted.packetId === packetId)
    if (at !== -1) this.#answers.splice(at, 1)[0]!.resolve(packet)
  }

  #message({ topic, payload, qos, retain, packetId, properties }: PublishPacket): void {
    if (this.#losing > 0) {
      this.#losing -= 1
      return
    }
    const alias = properties?.topicAlias
    if (alias !== undefined && topic !== '') this.#aliases.set(alias, topic)
    const name = topic === '' ? this.#aliases.get(alias!)! : topic
    this.#received.add({ topic: name, payload: Buffer.from(payload), qos, retain, clientId: '', properties })
    if (qos > 0) this.#ack(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId)
  }

  #ack(
    type: typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubrel | typeof PacketType.Pubcomp,
    packetId: number,
  ): void {
    this.#send({ type, packetId, reasonCode: 0, properties: undefined })
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 65_535) + 1
    return this.#lastId
  }

  #send(packet: Packet): void {
    if (!this.#stream.destroyed) this.#stream.write(encodePacket(packet, this.#version))
  }
}
