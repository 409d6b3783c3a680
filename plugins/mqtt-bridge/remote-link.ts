import type { Duplex } from 'node:stream'
import { PacketType, type ProtocolVersion } from '../../core/protocol/constants.ts'
import type { ConnackPacket, ConnectPacket, Packet } from '../../core/protocol/packets.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { encodeClientPacket } from '../kit/client-packets.ts'
import { ClientReader } from './client-reader.ts'

export interface LinkOptions {
  readonly clock: Clock
  /** The time that CONNACK may take, and the answer to a ping. */
  readonly answerMs: number
  readonly maximumPacketSize: number
}

/** What a link tells of. */
export interface LinkEvents {
  connack(packet: ConnackPacket): void
  /** Every packet but CONNACK and PINGRESP. What it holds of the bytes that were read is good until the call returns. */
  packet(packet: Packet): void
  /** All that was handed to the link is with the system. */
  drained(): void
  /** The connection has ended, once. */
  closed(error: Error): void
}

/** Bytes that may wait to be written before the link says that it is full. */
const bufferedMax = 1_048_576
// Packets besides, which are answers: as many as there are packet identifiers. Whoever has got none of them and asks for more does not read.
const answersMax = 65_535

/** One connection to another broker, as its client: packets out and in, and the pings that tell whether anybody is there. */
export class RemoteLink {
  readonly #stream: Duplex
  readonly #version: ProtocolVersion
  readonly #options: LinkOptions
  readonly #events: LinkEvents
  readonly #reader: ClientReader
  #pending: Buffer[]
  #pendingBytes: number
  #flushes: boolean
  // Sent while the link was full.
  #beyond: number
  #keepAliveMs: number
  #timer: Timer | null
  #lastSent: number
  // When a ping was sent, or CONNECT, that is not answered yet; 0: all is answered.
  #asked: number
  #isUp: boolean
  #closed: boolean

  constructor(stream: Duplex, connect: ConnectPacket, options: LinkOptions, events: LinkEvents) {
    this.#stream = stream
    this.#version = connect.version
    this.#options = options
    this.#events = events
    const { clock, maximumPacketSize } = options
    this.#reader = new ClientReader(connect.version, maximumPacketSize, packet => this.#came(packet))
    this.#pending = []
    this.#pendingBytes = 0
    this.#flushes = false
    this.#beyond = 0
    this.#keepAliveMs = connect.keepAlive * 1000
    this.#timer = null
    this.#lastSent = clock.now()
    this.#asked = clock.now()
    this.#isUp = false
    this.#closed = false
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('drain', () => {
      this.#beyond = 0
      this.#events.drained()
    })
    stream.on('error', error => this.destroy(error))
    stream.on('end', () => this.destroy(new Error('it closed the connection')))
    stream.on('close', () => this.destroy(new Error('the connection broke off')))
    this.#watch()
    this.send(connect)
  }

  /** Too much waits to be written: wait for `drained`. */
  get isFull(): boolean {
    return this.#stream.writableLength + this.#pendingBytes > bufferedMax
  }

  send(packet: Packet): void {
    this.sendBytes(encodeClientPacket(packet, this.#version))
  }

  /** One whole packet. All of one turn of the event loop leave together. */
  sendBytes(packet: Buffer): void {
    if (this.#closed) return
    if (this.isFull && ++this.#beyond > answersMax) return this.destroy(new Error('it does not read what it is answered'))
    this.#pending.push(packet)
    this.#pendingBytes += packet.length
    if (this.#flushes) return
    this.#flushes = true
    this.#options.clock.turn(() => this.#flush())
  }

  /** Nothing more is read until `resume`. */
  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** Says DISCONNECT and closes. */
  end(): void {
    if (this.#closed) return
    this.send({ type: PacketType.Disconnect, reasonCode: 0, properties: undefined })
    this.#flush()
    this.#closed = true
    this.#timer?.cancel()
    this.#stream.end()
    // Nobody reads any more, so nobody would see that the other side has closed.
    this.#stream.resume()
    this.#options.clock.after(this.#options.answerMs, () => this.#stream.destroy())
  }

  /** Breaks off, and says why to `closed`. */
  destroy(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer?.cancel()
    this.#stream.destroy()
    this.#events.closed(error)
  }

  #flush(): void {
    this.#flushes = false
    const pending = this.#pending
    if (this.#closed || pending.length === 0) return
    this.#pending = []
    this.#pendingBytes = 0
    this.#lastSent = this.#options.clock.now()
    this.#stream.cork()
    let goesOn = true
    for (const bytes of pending) goesOn = this.#stream.write(bytes)
    this.#stream.uncork()
    // Else the stream says when it has written all.
    if (goesOn) this.#events.drained()
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return
    try {
      this.#reader.feed(chunk)
    } catch (error) {
      this.destroy(new Error(`it sent what this bridge does not take: ${(error as Error).message}`, { cause: error }))
    }
  }

  #came(packet: Packet): void {
    // Of what came behind a packet that ended the connection nothing has a meaning.
    if (this.#closed) return
    if (packet.type === PacketType.Pingresp) {
      this.#asked = 0
      return
    }
    if (packet.type !== PacketType.Connack) {
      if (this.#isUp) this.#events.packet(packet)
      else this.destroy(new Error('its first packet is no CONNACK'))
      return
    }
    if (this.#isUp) return this.destroy(new Error('it sent a second CONNACK'))
    this.#asked = 0
    this.#isUp = true
    const { serverKeepAlive } = packet.properties ?? {}
    if (serverKeepAlive !== undefined) this.#keepAliveMs = serverKeepAlive * 1000
    this.#watch()
    this.#events.connack(packet)
  }

  #watch(): void {
    this.#timer?.cancel()
    const { clock, answerMs } = this.#options
    const quiet = this.#keepAliveMs === 0 ? Number.POSITIVE_INFINITY : this.#keepAliveMs * 0.75
    this.#timer = clock.every(Math.max(50, Math.min(this.#isUp ? quiet / 3 : answerMs, answerMs) / 2), () => {
      const now = clock.now()
      if (this.#asked > 0) {
        if (now - this.#asked >= answerMs) this.destroy(new Error(`it does not answer for ${Math.round((now - this.#asked) / 1000)} s`))
      } else if (now - this.#lastSent >= quiet) {
        this.#asked = now
        this.send({ type: PacketType.Pingreq })
      }
    })
  }
}
