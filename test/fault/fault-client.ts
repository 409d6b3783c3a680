import { connect, type Socket } from 'node:net'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { AckPacket, ConnackPacket, Packet, Properties, PublishPacket } from '../../core/protocol/packets.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'
import type { History } from './history.ts'

const sessionExpirySeconds = 3600

/** A client with a durable session whose broker dies again and again. It writes down what it reads, in the order in which it reads it. */
export abstract class FaultClient {
  readonly name: string
  protected readonly history: History
  protected readonly version: ProtocolVersion
  #socket: Socket | null = null
  #gone: Promise<void> = Promise.resolve()
  /** While it is set, a connection that broke is opened again, there. */
  returnsTo: number | null = null

  constructor(name: string, history: History, version: ProtocolVersion) {
    this.name = name
    this.history = history
    this.version = version
  }

  /** Connects, and resolves when CONNACK was read, or the connection is gone before. */
  async connect(port: number): Promise<void> {
    await this.#gone
    const socket = connect(port, '127.0.0.1')
    this.#socket = socket
    let connected = false
    let answered = (): void => {}
    const answer = new Promise<void>(resolve => {
      answered = resolve
    })
    const decoder = new PacketDecoder(
      {
        onPacket: packet => {
          if (packet.type === PacketType.Connack) {
            const { reasonCode, sessionPresent } = packet as ConnackPacket
            if (reasonCode !== 0) {
              // It is told to come again later; unless it was not to come again.
              if (this.returnsTo === null) this.history.fail(new Error(`${this.name}: refused with ${reasonCode}`))
              this.history.add({ kind: 'dismissed', client: this.name, reasonCode })
              return
            }
            connected = true
            this.history.add({ kind: 'connected', client: this.name, sessionPresent })
            this.onConnected()
            answered()
          } else if (packet.type === PacketType.Disconnect) {
            this.history.add({ kind: 'dismissed', client: this.name, reasonCode: packet.reasonCode })
          } else this.onPacket(packet)
        },
      },
      { maximumPacketSize: 268_435_460, receiver: 'client' },
    )
    decoder.version = this.version
    socket.on('data', (chunk: Buffer) => {
      decoder.feed(chunk, 0, chunk.length)
      this.onTurn()
    })
    socket.on('error', () => {})
    this.#gone = new Promise(resolve => {
      socket.on('close', () => {
        this.#socket = null
        if (connected) this.history.add({ kind: 'broken', client: this.name })
        answered()
        resolve()
        if (this.returnsTo !== null) setTimeout(() => this.returnsTo !== null && void this.connect(this.returnsTo), connected ? 0 : 50)
      })
    })
    this.send({
      type: PacketType.Connect,
      bridge: false,
      version: this.version,
      clientId: this.name,
      cleanStart: false,
      keepAlive: 0,
      will: undefined,
      username: undefined,
      password: undefined,
      properties: this.version === 5 ? { sessionExpiry: sessionExpirySeconds } : undefined,
    })
    await answer
  }

  /** Its connection is gone. */
  get gone(): Promise<void> {
    return this.#gone
  }

  close(): Promise<void> {
    this.returnsTo = null
    this.#socket?.destroy()
    return this.#gone
  }

  protected get connected(): boolean {
    return this.#socket !== null
  }

  protected send(packet: Packet): void {
    this.#socket?.write(encodePacket(packet, this.version))
  }

  protected ack(type: AckPacket['type'], packetId: number): void {
    this.send({ type, packetId, reasonCode: 0, properties: undefined })
  }

  protected abstract onConnected(): void
  protected abstract onPacket(packet: Packet): void
  /** All packets of one read have been looked at. */
  protected onTurn(): void {}
}

interface Pending {
  readonly packetId: number
  readonly topic: string
  readonly sequence: number
  readonly qos: QoS
  /** PUBREC was read: PUBREL is owed, and PUBLISH must not be sent again. */
  released: boolean
}

/** Publishes QoS 1 to one topic and QoS 2 to another, so many at once, and sends again what it has no acknowledgement of. */
export class FaultPublisher extends FaultClient {
  readonly #window: number
  /** Seconds after which its messages expire, where it speaks MQTT 5; none: never. */
  messageExpiry: number | undefined
  /** A message may be refused: it is given up. Otherwise a refusal ends the run. */
  mayBeRefused = false
  readonly #sent = new Map<string, number>()
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #allowed = 0

  constructor(name: string, history: History, version: ProtocolVersion, window: number) {
    super(name, history, version)
    this.#window = window
    for (const topic of this.topics) this.#sent.set(topic, 0)
  }

  get topics(): readonly string[] {
    return [`fault/${this.name}/1`, `fault/${this.name}/2`]
  }

  /** So many more of each topic may be sent. */
  allow(count: number): void {
    this.#allowed += count
    this.#pump()
  }

  /** Everything that was allowed is sent and acknowledged to its end. */
  get idle(): boolean {
    return this.#pending.size === 0 && this.topics.every(topic => this.#sent.get(topic) === this.#allowed)
  }

  /** What a reader has seen of this publisher when it has seen everything. */
  get last(): ReadonlyMap<string, number> {
    return this.#sent
  }

  protected onConnected(): void {
    for (const one of this.#pending.values()) {
      if (one.released) this.ack(PacketType.Pubrel, one.packetId)
      else this.#publish(one, true)
    }
    this.#pump()
  }

  protected onPacket(packet: Packet): void {
    const { type, packetId, reasonCode } = packet as AckPacket
    const one = this.#pending.get(packetId)
    if (one === undefined) {
      this.history.fail(new Error(`${this.name}: a packet of type ${type} for ${packetId}, which is not in flight`))
      return
    }
    // PUBCOMP may say that it does not know the identifier: its PUBREL had come before the broker died.
    if (reasonCode >= 0x80 && type !== PacketType.Pubcomp) {
      const { topic, sequence } = one
      if (this.mayBeRefused) {
        this.history.add({ kind: 'refused', client: this.name, topic, sequence, reasonCode })
        this.#pending.delete(packetId)
        this.#pump()
        return
      }
      this.history.fail(new Error(`${this.name}: ${topic} #${sequence} was refused with ${reasonCode}`))
      return
    }
    if (type === PacketType.Puback || (type === PacketType.Pubrec && !one.released)) {
      const { topic, sequence, qos } = one
      this.history.add({ kind: 'acknowledged', client: this.name, topic, sequence, qos })
    }
    if (type === PacketType.Pubrec) {
      one.released = true
      this.ack(PacketType.Pubrel, packetId)
      return
    }
    this.#pending.delete(packetId)
    this.#pump()
    this.history.changed()
  }

  #pump(): void {
    if (!this.connected) return
    for (;;) {
      const topic = this.topics.toSorted((a, b) => this.#sent.get(a)! - this.#sent.get(b)!)[0]!
      const sequence = this.#sent.get(topic)!
      if (this.#pending.size >= this.#window || sequence >= this.#allowed) return
      this.#sent.set(topic, sequence + 1)
      const one: Pending = { packetId: this.#freeId(), topic, sequence, qos: topic.endsWith('2') ? 2 : 1, released: false }
      this.#pending.set(one.packetId, one)
      this.#publish(one, false)
    }
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1
    while (this.#pending.has(this.#lastId))
    return this.#lastId
  }

  #publish({ packetId, topic, sequence, qos }: Pending, dup: boolean): void {
    const payload = Buffer.from(`${sequence} ${'x'.repeat(sequence % 200)}`)
    this.send({ type: PacketType.Publish, topic, payload, qos, retain: false, dup, packetId, properties: this.#properties })
  }

  get #properties(): Properties | undefined {
    return this.messageExpiry === undefined || this.version !== 5 ? undefined : { messageExpiry: this.messageExpiry }
  }
}

/** Reads everything, and answers so late that there is always something in flight when the broker dies. */
export class FaultReader extends FaultClient {
  // QoS 2: read and not yet released by the broker.
  readonly #held = new Set<number>()
  readonly #late: PublishPacket[] = []
  readonly #seen = new Map<string, number>()
  readonly #behind: number
  #subscribed = (): void => {}
  #answered = (): void => {}
  finishing = false

  /** `behind`: so many it has read and not yet answered. */
  constructor(name: string, history: History, version: ProtocolVersion, behind: number) {
    super(name, history, version)
    this.#behind = behind
  }

  /** Once, before the first message. */
  async subscribe(filter = 'fault/#'): Promise<void> {
    const granted = new Promise<void>(resolve => {
      this.#subscribed = resolve
    })
    const options = { qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    this.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [{ filter, ...options }], properties: undefined })
    await granted
  }

  /** The broker has dealt with everything that this reader has said. */
  async quiet(): Promise<void> {
    // What it says to what the first answer brought is behind the first question.
    for (let i = 0; i < 2; i++) {
      const answer = new Promise<void>(resolve => {
        this.#answered = resolve
      })
      this.send({ type: PacketType.Pingreq })
      await answer
    }
  }

  /** Whether it has seen all that a publisher has sent. */
  hasAll(publisher: FaultPublisher): boolean {
    return [...publisher.last].every(([topic, sent]) => (this.#seen.get(topic) ?? 0) >= sent)
  }

  /** It has seen this message of a topic, or a later one. */
  hasSeen(topic: string, sequence: number): boolean {
    return (this.#seen.get(topic) ?? 0) > sequence
  }

  /** From here on everything is answered at once. */
  finish(): void {
    this.finishing = true
    this.onTurn()
  }

  protected onConnected(): void {
    // What was not answered comes again.
    this.#late.length = 0
  }

  protected onPacket(packet: Packet): void {
    if (packet.type === PacketType.Suback) this.#subscribed()
    else if (packet.type === PacketType.Pingresp) this.#answered()
    else if (packet.type === PacketType.Pubrel) {
      this.#held.delete(packet.packetId)
      this.ack(PacketType.Pubcomp, packet.packetId)
    } else if (packet.type === PacketType.Publish) this.#received({ ...packet, payload: Buffer.from(packet.payload) })
  }

  #received(packet: PublishPacket): void {
    const { topic, qos, packetId, dup } = packet
    const fresh = qos !== 2 || !this.#held.has(packetId)
    if (qos === 2) this.#held.add(packetId)
    const sequence = sequenceOf(packet)
    this.#seen.set(topic, Math.max(this.#seen.get(topic) ?? 0, sequence + 1))
    this.history.add({ kind: 'received', client: this.name, fresh, topic, sequence, qos, packetId, dup })
    this.#late.push(packet)
  }

  protected override onTurn(): void {
    while (this.connected && this.#late.length > (this.finishing ? 0 : this.#behind)) {
      const packet = this.#late.shift()!
      const { topic, qos, packetId, dup } = packet
      this.ack(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId)
      this.history.add({ kind: 'answered', client: this.name, topic, sequence: sequenceOf(packet), qos, packetId, dup })
    }
  }
}

function sequenceOf({ payload }: PublishPacket): number {
  return Number.parseInt(payload.toString(), 10)
}

/** Publishes one message after the other at QoS 1, and says what became of each. */
export class FaultAsker extends FaultClient {
  readonly #topic: string
  #sequence = 0
  #answered = (_reasonCode: number): void => {}

  constructor(name: string, history: History, topic: string) {
    super(name, history, 5)
    this.#topic = topic
  }

  /** The sequence of the last message that was acknowledged; -1: none was. */
  accepted = -1

  /** Resolves to the reason code of its PUBACK. `size`: bytes of its payload, at least. */
  async publish(size = 0): Promise<number> {
    const sequence = this.#sequence++
    const answer = new Promise<number>(resolve => {
      this.#answered = resolve
    })
    const [topic, payload] = [this.#topic, Buffer.from(`${sequence} ${'x'.repeat(size)}`)]
    this.send({ type: PacketType.Publish, topic, payload, qos: 1, retain: false, dup: false, packetId: 1, properties: undefined })
    const reasonCode = await answer
    if (reasonCode >= 0x80) return reasonCode
    this.accepted = sequence
    this.history.add({ kind: 'acknowledged', client: this.name, topic, sequence, qos: 1 })
    return 0
  }

  protected onConnected(): void {}

  protected onPacket(packet: Packet): void {
    if (packet.type === PacketType.Puback) this.#answered(packet.reasonCode)
  }
}

/** Connects all, readers with their subscriptions before the first publisher. */
export async function connectAll(
  readers: readonly FaultReader[],
  publishers: readonly FaultPublisher[],
  portOf: (client: FaultReader | FaultPublisher) => number,
): Promise<void> {
  for (const reader of readers) {
    await reader.connect(portOf(reader))
    await reader.subscribe()
  }
  await Promise.all(publishers.map(one => one.connect(portOf(one))))
}
