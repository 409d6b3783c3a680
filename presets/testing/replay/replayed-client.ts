import type { Duplex } from 'node:stream'
import { PacketType, type ProtocolVersion } from '../../../core/protocol/constants.ts'
import type { Packet, PublishPacket } from '../../../core/protocol/packets.ts'
import { encodePacket, PacketDecoder } from '../packet-codec.ts'

/** One connection of a replay: sends what it is told, acknowledges nothing by itself, and keeps what has come until it is asked for. */
export class ReplayedClient {
  readonly version: ProtocolVersion
  /** By the packet identifier that was recorded, the one that the broker gave now. */
  readonly identifiers: Map<number, number>
  /** What may come, from others than the recording's clients: the packet identifier that was recorded (0 at QoS 0), and the topic name. */
  readonly mayCome: { readonly packetId: number; readonly topic: string }[] = []
  /** The connection has ended. */
  closed = false
  /** It is known to have ended: as it was recorded, or said already. */
  over = false
  /** What has come and was not taken, in order. */
  left: Packet[] = []
  readonly #stream: Duplex
  readonly #aliases = new Map<number, string>()
  #wake: (() => void) | null = null

  /** `identifiers`: those of the session, which may outlive a connection. */
  constructor(stream: Duplex, version: ProtocolVersion, identifiers: Map<number, number>) {
    this.#stream = stream
    this.identifiers = identifiers
    this.version = version
    const decoder = new PacketDecoder({ onPacket: packet => this.#came(packet) }, { maximumPacketSize: 268_435_460, receiver: 'client' })
    decoder.version = version
    stream.on('data', (chunk: Buffer) => decoder.feed(chunk, 0, chunk.length))
    stream.on('error', () => {})
    stream.on('end', () => stream.destroy())
    stream.on('close', () => {
      this.closed = true
      this.#wake?.()
    })
  }

  send(packet: Packet): void {
    if (!this.closed) this.#stream.write(encodePacket(packet, this.version))
  }

  /** The packet identifier that the broker gave now to what it gave this one then; `undefined`: it has not come. */
  identifierOf(recorded: number): number | undefined {
    const known = this.identifiers.get(recorded)
    if (known !== undefined) return known
    const at = this.mayCome.findIndex(({ packetId }) => packetId === recorded)
    const come = at === -1 ? undefined : this.#takeMessage(this.mayCome[at]!.topic)
    if (come === undefined) return undefined
    this.mayCome.splice(at, 1)
    this.identifiers.set(recorded, come)
    return come
  }

  /** What has come, was not recorded, and is not from others either. */
  get unexpected(): readonly Packet[] {
    for (const { topic } of this.mayCome.splice(0)) this.#takeMessage(topic)
    return this.left.filter(({ type }) => type !== PacketType.Pingresp)
  }

  // Takes a message to this topic out of those that have come, and says its packet identifier.
  #takeMessage(topic: string): number | undefined {
    const at = this.left.findIndex(packet => packet.type === PacketType.Publish && packet.topic === topic)
    return at === -1 ? undefined : (this.left.splice(at, 1)[0] as PublishPacket).packetId
  }

  /** Ends the connection. */
  end(): void {
    this.over = true
    this.#stream.end()
  }

  /** Breaks it off. */
  destroy(): void {
    this.over = true
    this.#stream.destroy()
  }

  /** The first packet that has come, or comes, of this kind; null: none within the time, or none any more. */
  async take(wanted: (packet: Packet) => boolean, withinMs: number): Promise<Packet | null> {
    return await this.#until(() => {
      const at = this.left.findIndex(wanted)
      if (at !== -1) return this.left.splice(at, 1)[0]!
      return this.closed ? null : undefined
    }, withinMs)
  }

  /** Waits until the connection has ended; whether it has. */
  async ended(withinMs: number): Promise<boolean> {
    return (await this.#until(() => (this.closed ? true : undefined), withinMs)) === true
  }

  /** Whatever was said before has been answered. */
  async settled(withinMs: number): Promise<void> {
    this.send({ type: PacketType.Pingreq })
    await this.take(({ type }) => type === PacketType.Pingresp, withinMs)
  }

  async #until<T>(look: () => T | null | undefined, withinMs: number): Promise<T | null> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#wake?.()
    }, withinMs)
    try {
      for (;;) {
        const found = look()
        if (found !== undefined) return found
        if (isLate) return null
        await new Promise<void>(wake => {
          this.#wake = wake
        })
      }
    } finally {
      this.#wake = null
      clearTimeout(timer)
    }
  }

  #came(packet: Packet): void {
    // What the decoder hands over lies in bytes that it reads into again.
    if (packet.type === PacketType.Publish) {
      const alias = packet.properties?.topicAlias
      if (alias !== undefined && packet.topic !== '') this.#aliases.set(alias, packet.topic)
      const topic = packet.topic === '' ? (this.#aliases.get(alias!) ?? '') : packet.topic
      this.left.push({ ...packet, topic, payload: Buffer.from(packet.payload) })
    } else this.left.push(packet)
    this.#wake?.()
  }
}
