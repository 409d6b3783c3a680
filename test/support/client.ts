import type { Duplex } from 'node:stream'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type {
  AckPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  Packet,
  Properties,
  PublishPacket,
  SubackPacket,
  UnsubackPacket,
  WillPacket,
} from '../../core/protocol/packets.ts'
import { encodePacket, PacketDecoder } from '../../presets/testing/packet-codec.ts'

export interface ConnectOptions {
  version?: ProtocolVersion
  clientId?: string
  cleanStart?: boolean
  keepAlive?: number
  username?: string
  password?: string
  will?: Partial<WillPacket> & { topic: string }
  properties?: Properties
}

type Ack = typeof PacketType.Puback | typeof PacketType.Pubrec | typeof PacketType.Pubrel | typeof PacketType.Pubcomp

let clients = 0

/** A client that says exactly what it is told to, and keeps what it hears. */
export class TestClient {
  readonly stream: Duplex
  readonly version: ProtocolVersion
  /** Every packet that came, in order. */
  readonly heard: Packet[] = []
  /** Resolves when the broker has closed the connection. */
  readonly closed: Promise<void>
  isClosed = false
  #read = 0
  #lastId = 0
  #waiting: (() => void)[] = []
  // Packets that were answered before their turn came.
  readonly #taken = new Set<Packet>()
  readonly #decoder: PacketDecoder

  constructor(stream: Duplex, version: ProtocolVersion) {
    this.stream = stream
    this.version = version
    this.#decoder = new PacketDecoder(
      {
        onPacket: packet => {
          this.heard.push(owned(packet))
          this.#wake()
        },
      },
      { maximumPacketSize: 268_435_460, receiver: 'client' },
    )
    this.#decoder.version = version
    stream.on('data', (chunk: Buffer) => this.#decoder.feed(chunk, 0, chunk.length))
    stream.on('error', () => {})
    this.closed = new Promise(resolve => {
      const ended = () => {
        this.isClosed = true
        stream.destroy()
        this.#wake()
        resolve()
      }
      stream.on('end', ended)
      stream.on('close', ended)
    })
  }

  /** Sends CONNECT and waits for nothing. */
  sendConnect(options: ConnectOptions = {}): void {
    this.send(connectPacket({ ...options, version: options.version ?? this.version }))
  }

  /** Sends CONNECT and returns the CONNACK, whatever it says. */
  async connect(options: ConnectOptions = {}): Promise<ConnackPacket> {
    this.sendConnect(options)
    return this.next(PacketType.Connack)
  }

  send(packet: Packet): void {
    this.stream.write(encodePacket(packet, this.version))
  }

  /** Bytes in hex; blanks are for the eye. */
  sendBytes(hex: string): void {
    this.stream.write(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'))
  }

  /** Subscribes and returns the reason codes. */
  async subscribe(filter: string | string[], qos: QoS = 0, options: Partial<SubscribeOptions> = {}): Promise<number[]> {
    const packetId = this.nextId()
    const { properties, ...flags } = options
    const subscriptions = [filter].flat().map(one => ({
      filter: one,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
      ...flags,
    }))
    this.send({ type: PacketType.Subscribe, packetId, subscriptions, properties })
    const { reasonCodes } = await this.next<SubackPacket>(PacketType.Suback)
    return reasonCodes
  }

  async unsubscribe(...filters: string[]): Promise<number[]> {
    this.send({ type: PacketType.Unsubscribe, packetId: this.nextId(), filters, properties: undefined })
    return (await this.next<UnsubackPacket>(PacketType.Unsuback)).reasonCodes
  }

  /** Sends a PUBLISH; at QoS 1 and 2 waits for the whole handshake. Returns the acknowledgement. */
  async publish(topic: string, payload: string | Buffer = '', options: PublishOptions = {}): Promise<AckPacket | undefined> {
    const packet = this.sendPublish(topic, payload, options)
    if (packet.qos === 0) return undefined
    if (packet.qos === 1) return this.next<AckPacket>(PacketType.Puback)
    const pubrec = await this.next<AckPacket>(PacketType.Pubrec)
    if (pubrec.reasonCode < 0x80) {
      this.ack(PacketType.Pubrel, packet.packetId)
      await this.next(PacketType.Pubcomp)
    }
    return pubrec
  }

  /** Sends a PUBLISH and waits for nothing. */
  sendPublish(topic: string, payload: string | Buffer = '', options: PublishOptions = {}): PublishPacket {
    const { qos = 0, retain = false, dup = false, properties } = options
    const packetId = options.packetId ?? (qos > 0 ? this.nextId() : 0)
    const packet: PublishPacket = { type: PacketType.Publish, topic, payload: Buffer.from(payload), qos, retain, dup, packetId, properties }
    this.send(packet)
    return packet
  }

  ack(type: Ack, packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode, properties: undefined })
  }

  disconnect(reasonCode = 0, properties?: Properties): void {
    this.send({ type: PacketType.Disconnect, reasonCode, properties })
  }

  /** The next PUBLISH; acknowledges nothing. */
  message(): Promise<PublishPacket> {
    return this.next<PublishPacket>(PacketType.Publish)
  }

  /** The next PUBLISH, acknowledged as its QoS asks. */
  async receive(): Promise<PublishPacket> {
    const packet = await this.message()
    if (packet.qos === 1) this.ack(PacketType.Puback, packet.packetId)
    if (packet.qos === 2) {
      this.ack(PacketType.Pubrec, packet.packetId)
      await this.#pubrel(packet.packetId)
      this.ack(PacketType.Pubcomp, packet.packetId)
    }
    return packet
  }

  /** Waits for a PUBREL, and lets what comes before it stand. */
  async #pubrel(packetId: number): Promise<void> {
    for (;;) {
      const at = this.heard.findIndex(
        (one, i) => i >= this.#read && one.type === PacketType.Pubrel && one.packetId === packetId && !this.#taken.has(one),
      )
      if (at !== -1) return void this.#taken.add(this.heard[at]!)
      if (this.isClosed) throw new Error(`closed while waiting for PUBREL ${packetId}`)
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  /** The next packet of a type, or of any; packets of other types before it are passed over. */
  async next<P extends Packet = Packet>(type?: P['type']): Promise<P> {
    for (;;) {
      while (this.#read < this.heard.length) {
        const packet = this.heard[this.#read]!
        this.#read += 1
        if (this.#taken.has(packet)) continue
        if (type === undefined || packet.type === type) return packet as P
      }
      if (this.isClosed) throw new Error(`closed while waiting for packet type ${type}; heard ${JSON.stringify(this.heard.at(-1))}`)
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  /** What came and was not looked at, once the broker has dealt with everything that was sent before. */
  async rest(): Promise<Packet[]> {
    const from = this.#read
    this.send({ type: PacketType.Pingreq })
    await this.next(PacketType.Pingresp)
    return this.heard.slice(from, this.#read - 1).filter(packet => !this.#taken.has(packet))
  }

  /** Forgets what was looked at: for one that reads very much. */
  forget(): void {
    for (const packet of this.heard.splice(0, this.#read)) this.#taken.delete(packet)
    this.#read = 0
  }

  /** The payloads of the PUBLISH packets that came and were not looked at. */
  async payloads(): Promise<string[]> {
    return (await this.rest()).flatMap(packet => (packet.type === PacketType.Publish ? [packet.payload.toString()] : []))
  }

  /** Waits until the broker closes; returns its DISCONNECT, if it sent one. */
  async ended(): Promise<DisconnectPacket | undefined> {
    await this.closed
    return this.heard.find(packet => packet.type === PacketType.Disconnect)
  }

  /** Breaks the connection off without a DISCONNECT. */
  drop(): void {
    this.stream.destroy()
  }

  nextId(): number {
    this.#lastId += 1
    return this.#lastId
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}

export interface PublishOptions {
  qos?: QoS
  retain?: boolean
  dup?: boolean
  packetId?: number
  properties?: Properties
}

interface SubscribeOptions {
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
  properties: Properties
}

/** A CONNECT with what a test does not care about filled in. */
export function connectPacket(options: ConnectOptions): ConnectPacket {
  const { version = 4, clientId = `client-${++clients}`, cleanStart = true, keepAlive = 0, username, password, will, properties } = options
  return {
    type: PacketType.Connect,
    version,
    bridge: false,
    clientId,
    cleanStart,
    keepAlive,
    username,
    password: password === undefined ? undefined : Buffer.from(password),
    will: will === undefined ? undefined : { payload: Buffer.alloc(0), qos: 0, retain: false, properties: undefined, ...will },
    properties,
  }
}

/** The bytes of a PUBLISH without properties, for tests that write many at once. */
export function publishBytes(
  topic: string,
  payload: string | Buffer,
  { qos = 0, packetId = 0, version = 4 }: { qos?: 0 | 1 | 2; packetId?: number; version?: ProtocolVersion } = {},
): Buffer {
  return encodePacket(
    { type: PacketType.Publish, topic, payload: Buffer.from(payload), qos, retain: false, dup: false, packetId, properties: undefined },
    version,
  )
}

function owned(packet: Packet): Packet {
  return packet.type === PacketType.Publish ? { ...packet, payload: Buffer.from(packet.payload) } : packet
}
