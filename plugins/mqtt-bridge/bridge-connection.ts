import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Broker } from '../../core/broker.ts'
import { PacketType } from '../../core/protocol/constants.ts'
import type { ConnackPacket, Packet, SubackPacket } from '../../core/protocol/packets.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Timer } from '../../core/time/clock.ts'
import { reasonName } from '../kit/reason-name.ts'
import { openSocket, type RemoteAddress, readAddress } from './address.ts'
import type { ConnectionLines } from './connection-lines.ts'
import { filesStamp } from './files-stamp.ts'
import { passwordOf } from './password.ts'
import type { RemoteLimits } from './remote-limits.ts'
import { RemoteLink } from './remote-link.ts'
import type { BridgeRule, ConnectionOptions } from './rules.ts'
import { connackReason, connectPacket, limitsOf, refusalText, subscribePacket, versionOf, wordsOf } from './session.ts'
import { tlsFault, unsaidFault } from './tls-faults.ts'

/** What goes over a connection, and comes over it. */
export interface ConnectionSide {
  /** It is up. `sessionPresent`: the other broker knows the session. */
  up(link: RemoteLink, limits: RemoteLimits, sessionPresent: boolean): void
  /** PUBLISH, or what answers one; what it holds is good until the call returns. */
  packet(packet: Packet): void
  /** All that was sent is with the system. */
  drained(): void
  /** It has gone. */
  down(): void
}

/** What a connection is made of, besides its options. */
export interface ConnectionParts {
  readonly broker: Broker
  readonly options: ConnectionOptions
  /** Where it stands in the config. */
  readonly at: string
  readonly clientId: string
  /** By which bridges know this broker. */
  readonly id: string
  /** Where the other broker is to say whether the connection is up; null: nowhere. */
  readonly stateTopic: string | null
  /** What it subscribes to at the other broker. */
  readonly asks: readonly BridgeRule[]
  readonly side: ConnectionSide
  readonly lines: ConnectionLines
  locate(file: string): string
}

// Messages have those from 1 on, and one that is sent again after a break has the one that it had.
const subscribeId = 65_535

/** Keeps one connection to another broker up: opens it, opens it again when it has gone, and hands packets to the sides that they concern. */
export class BridgeConnection {
  readonly #parts: ConnectionParts
  #options: ConnectionOptions
  #addresses: readonly RemoteAddress[]
  #address: number
  // One that is being opened.
  #socket: Socket | null
  #link: RemoteLink | null
  #isUp: boolean
  #stopped: boolean
  #retry: Timer | null
  #pauseMs: number
  #isPrivate: boolean
  // What the files said that the connection was opened by.
  #files: string
  // SUBSCRIBE is not answered yet.
  #asksFor: Timer | null
  /** How often it was up. */
  connects: number
  /** Since when it is as it is, milliseconds since the Unix epoch. */
  since: number
  /** Why it is not up; empty: it is, or was not tried yet. */
  why: string

  constructor(parts: ConnectionParts) {
    const { options, at, broker } = parts
    this.#parts = parts
    this.#options = options
    this.#addresses = addressesOf(options, at)
    this.#address = 0
    this.#socket = null
    this.#link = null
    this.#isUp = false
    this.#stopped = false
    this.#retry = null
    this.#pauseMs = options.retryMin
    this.#isPrivate = options.tryPrivate
    this.#asksFor = null
    this.#files = ''
    this.connects = 0
    this.since = broker.clock.now()
    this.why = ''
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** Where it is connected to, or tries to be. */
  get place(): string {
    return this.#addresses[this.#address]!.text
  }

  /** Tries once, and goes on by itself. */
  open(): void {
    if (this.#stopped) return
    const { broker, at, locate } = this.#parts
    const options = this.#options
    const { clock } = broker
    try {
      const password = passwordOf(options, at, locate)
      this.#files = filesStamp(options, at, locate)
      const socket = openSocket(this.#addresses[this.#address]!, options, at, locate, () => {
        timer.cancel()
        socket.off('error', failed)
        socket.off('close', closed)
        this.#socket = null
        this.#opened(socket, password)
      })
      this.#socket = socket
      const timer = clock.after(options.connectTimeout, () => socket.destroy(new Error('it does not answer')))
      const failed = (error: Error): void => {
        timer.cancel()
        socket.off('close', closed)
        this.#socket = null
        this.#closed(socket instanceof TLSSocket ? tlsFault(error, options, at) : error)
      }
      const closed = (): void => failed(new Error('the connection broke off'))
      socket.once('error', failed)
      socket.once('close', closed)
    } catch (error) {
      this.#closed(error as Error)
    }
  }

  #opened(socket: Socket, password: Buffer | undefined): void {
    const { broker, at, clientId, id, stateTopic } = this.#parts
    const options = this.#options
    const connect = connectPacket(options, { clientId, password, id, isPrivate: this.#isPrivate, stateTopic })
    let refusal: Error | null = null
    const link = new RemoteLink(
      socket,
      connect,
      { clock: broker.clock, answerMs: options.connectTimeout, maximumPacketSize: options.maximumPacketSize },
      {
        connack: packet => {
          refusal = this.#answered(link, packet)
          if (refusal !== null) link.destroy(refusal)
        },
        packet: packet => this.#came(link, packet),
        drained: () => this.#parts.side.drained(),
        closed: error => {
          // Some close the connection on a protocol level that they do not know, without a word.
          if (!this.#isUp && connect.bridge && refusal === null) this.#isPrivate = false
          // In TLS 1.3 the other side judges the certificate that it was shown when the connection is there.
          const isUnsaid = !this.#isUp && refusal === null && socket instanceof TLSSocket
          this.#closed(isUnsaid ? unsaidFault(error, options, at) : error)
        },
      },
    )
    this.#link = link
  }

  // Why it is not up after all; null: it is.
  #answered(link: RemoteLink, packet: ConnackPacket): Error | null {
    const { at, side, asks, broker, lines } = this.#parts
    const options = this.#options
    const version = versionOf(options)
    const reason = connackReason(version, packet.reasonCode)
    if (reason === 0 && packet.properties?.receiveMaximum === 0) return new Error('it takes no message at all (Receive Maximum 0)')
    if (reason === 0 && packet.properties?.maximumPacketSize === 0) return new Error('it takes no packet at all (Maximum Packet Size 0)')
    if (reason !== 0) {
      if (reason === ReasonCode.UnsupportedProtocolVersion && version !== 5 && this.#isPrivate) {
        this.#isPrivate = false
        return new Error('it does not know bridges; the next attempt does without')
      }
      this.#isPrivate = options.tryPrivate
      return new Error(refusalText(reason, packet, at))
    }
    this.#isUp = true
    this.connects += 1
    this.since = broker.clock.now()
    this.why = ''
    this.#pauseMs = options.retryMin
    const { sessionPresent } = packet
    lines.connected(this.place, sessionPresent)
    if (asks.length > 0) {
      link.send(subscribePacket(asks, subscribeId))
      this.#asksFor = broker.clock.after(options.connectTimeout, () => link.destroy(new Error('it does not answer SUBSCRIBE')))
    }
    this.#sayThere(link, '1')
    side.up(link, limitsOf(options, packet), sessionPresent)
    return null
  }

  #sayThere(link: RemoteLink, state: '0' | '1'): void {
    const { stateTopic: topic } = this.#parts
    if (topic === null) return
    const payload = Buffer.from(state)
    link.send({ type: PacketType.Publish, topic, payload, qos: 0, retain: true, dup: false, packetId: 0, properties: undefined })
  }

  #came(link: RemoteLink, packet: Packet): void {
    switch (packet.type) {
      case PacketType.Publish:
      case PacketType.Pubrel:
      case PacketType.Puback:
      case PacketType.Pubrec:
      case PacketType.Pubcomp:
        return this.#parts.side.packet(packet)
      case PacketType.Suback:
        return this.#subscribed(link, packet)
      case PacketType.Disconnect:
        return link.destroy(new Error(`it closed the connection with ${reasonName(packet.reasonCode)}${wordsOf(packet.properties)}`))
    }
  }

  #subscribed(link: RemoteLink, { packetId, reasonCodes }: SubackPacket): void {
    const { asks, lines } = this.#parts
    if (packetId !== subscribeId || reasonCodes.length !== asks.length)
      return link.destroy(new Error(`it answers ${asks.length} subscriptions with ${reasonCodes.length} reason codes`))
    this.#asksFor?.cancel()
    for (const [index, code] of reasonCodes.entries()) if (code >= 0x80 && asks[index] !== undefined) lines.notSubscribed(asks[index], code)
  }

  /** Breaks off and connects again after a pause: what was not acknowledged is sent again. */
  breakOff(error: Error): void {
    this.#link?.destroy(error)
  }

  /** Its files may have changed: connects anew by those that have, where they can be used. Throws an `OperatorError` where they cannot, and the connection stays. */
  reread(): void {
    const { at, locate } = this.#parts
    if (this.#stopped || this.#link === null || !this.#isUp) return
    if (filesStamp(this.#options, at, locate) !== this.#files) this.#anew('its files have changed')
  }

  /** Connects anew by other options, which are checked. */
  follow(options: ConnectionOptions): void {
    this.#options = options
    this.#addresses = addressesOf(options, this.#parts.at)
    this.#address = 0
    this.#pauseMs = options.retryMin
    this.#isPrivate = options.tryPrivate
    if (!this.#stopped) this.#anew('its options have changed')
  }

  #anew(why: string): void {
    // One that was never opened has nothing to carry.
    if (this.#link === null && this.#socket === null && this.#retry === null) return
    this.#parts.lines.renewed(this.place, why)
    if (this.#link !== null) this.#leave(this.#link)
    this.#retry?.cancel()
    this.#retry = null
    // One that is being opened ends, and the next goes by what is said now.
    if (this.#socket !== null) this.#socket.destroy(new Error(why))
    else this.open()
  }

  /** Ends a connection in good order; the session at the other broker stays. */
  #leave(link: RemoteLink): void {
    link.end()
    this.#link = null
    this.#asksFor?.cancel()
    if (!this.#isUp) return
    this.#isUp = false
    this.#parts.side.down()
  }

  #closed(error: Error): void {
    const { broker, side, lines } = this.#parts
    const options = this.#options
    const { clock } = broker
    const wasUp = this.#isUp
    this.#link = null
    this.#isUp = false
    this.#asksFor?.cancel()
    this.why = error.message
    if (wasUp) {
      this.since = clock.now()
      side.down()
    }
    if (this.#stopped) return
    lines.away(this.place, error)
    this.#address = wasUp && !options.roundRobin ? 0 : (this.#address + 1) % this.#addresses.length
    // Many bridges that lost the same broker do not come back in the same moment.
    const part = this.#parts.broker.clock.random(1)[0]! / 255
    const pause = this.#pauseMs * (0.75 + part / 4)
    // All addresses are tried before it waits longer.
    if (this.#address === 0 || options.roundRobin) this.#pauseMs = Math.min(this.#pauseMs * 2, options.retryMax)
    this.#retry = clock.after(pause, () => {
      this.#retry = null
      this.open()
    })
  }

  /** Closes in good order; the session at the other broker stays. */
  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
    this.#asksFor?.cancel()
    this.#socket?.destroy()
    const link = this.#link
    if (link === null) return
    // A DISCONNECT in good order takes the will with it.
    if (this.#isUp) this.#sayThere(link, '0')
    this.#leave(link)
  }
}

function addressesOf({ addresses, ssl }: ConnectionOptions, at: string): RemoteAddress[] {
  return addresses.map((text, index) => readAddress(text, `${at}.addresses[${index}]`, ssl.enable))
}
