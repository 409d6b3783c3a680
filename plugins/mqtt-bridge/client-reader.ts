import { isUtf8 } from 'node:buffer'
import { PacketType, type ProtocolVersion, type QoS } from '../../core/protocol/constants.ts'
import type { Packet, Properties } from '../../core/protocol/packets.ts'
import { decodeProperties } from '../../core/protocol/property-bytes.ts'
import { isTopicName } from '../../core/routing/topic.ts'

// Bytes that a packet in pieces has room for at first.
const roomMin = 65_536

/** Bytes of another broker in, its packets out. Throws an `Error` for what is no MQTT. Packets hold views of what was read: they are good until the call returns. */
export class ClientReader {
  readonly #version: ProtocolVersion
  readonly #packetMax: number
  readonly #came: (packet: Packet) => void
  // A packet that is not all there lies in here, copied: a view of each piece would keep some hundred bytes for one that has a single byte.
  #room: Buffer | null
  #length: number
  // Bytes that have to be there before it is worth looking again.
  #needed: number

  constructor(version: ProtocolVersion, packetMax: number, came: (packet: Packet) => void) {
    this.#version = version
    this.#packetMax = packetMax
    this.#came = came
    this.#room = null
    this.#length = 0
    this.#needed = 2
  }

  feed(chunk: Buffer): void {
    const bytes = this.#length === 0 ? chunk : this.#append(chunk)
    let at = 0
    if (bytes.length >= this.#needed) {
      this.#needed = 2
      while (at < bytes.length) {
        const size = this.#sizeAt(bytes, at)
        if (size === 0 || at + size > bytes.length) {
          this.#needed = Math.max(2, size)
          break
        }
        this.#came(readPacket(bytes.subarray(at, at + size), this.#version))
        at += size
      }
    } else if (this.#length > 0) return
    this.#keep(bytes, at)
  }

  /** What there is of a packet, with its next piece. */
  #append(chunk: Buffer): Buffer {
    const length = this.#length + chunk.length
    const room = this.#roomFor(length)
    if (room !== this.#room) this.#room!.copy(room, 0, 0, this.#length)
    this.#room = room
    chunk.copy(room, this.#length)
    this.#length = length
    return room.subarray(0, length)
  }

  #keep(bytes: Buffer, from: number): void {
    const length = bytes.length - from
    this.#length = length
    if (length > 0) {
      const room = this.#roomFor(length)
      bytes.copy(room, 0, from)
      this.#room = room
    } else if (this.#room !== null && this.#room.length > roomMin) this.#room = null
  }

  // For so many bytes, or more: never for much more of a packet than has come.
  #roomFor(length: number): Buffer {
    if (this.#room !== null && this.#room.length >= length) return this.#room
    return Buffer.allocUnsafeSlow(Math.max(roomMin, length, Math.min(this.#needed, length * 4)))
  }

  // Of the whole packet; 0: its length is not there yet.
  #sizeAt(bytes: Buffer, at: number): number {
    let length = 0
    for (let i = 1; i <= 4; i++) {
      const byte = bytes[at + i]
      if (byte === undefined) return 0
      length |= (byte & 0x7f) << (7 * (i - 1))
      if (byte > 0x7f) continue
      const size = 1 + i + length
      if (size > this.#packetMax)
        throw new Error(`a packet of ${size} bytes, and no more than ${this.#packetMax} are taken (maximumPacketSize)`)
      return size
    }
    throw new Error('a remaining length of more than four bytes')
  }
}

/** One whole packet. */
function readPacket(bytes: Buffer, version: ProtocolVersion): Packet {
  const five = version === 5
  const type = bytes[0]! >>> 4
  let at = 1
  while (bytes[at]! > 0x7f) at += 1
  at += 1
  const body = bytes.subarray(at)
  switch (type) {
    case PacketType.Connack: {
      need(body, 2)
      return { type, sessionPresent: (body[0]! & 1) === 1, reasonCode: body[1]!, properties: five ? answerProperties(body, 2) : undefined }
    }
    case PacketType.Publish:
      return readPublish(bytes[0]!, body, five)
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return { type, packetId: packetIdAt(body, 0), reasonCode: five ? (body[2] ?? 0) : 0, properties: undefined }
    case PacketType.Suback:
    case PacketType.Unsuback: {
      need(body, five ? 3 : 2)
      const codes = five ? propertiesEnd(body, 2) : 2
      return { type, packetId: packetIdAt(body, 0), reasonCodes: [...body.subarray(codes)], properties: undefined }
    }
    case PacketType.Pingresp:
      return { type }
    case PacketType.Disconnect:
      return { type, reasonCode: body[0] ?? 0, properties: five && body.length > 1 ? answerProperties(body, 1) : undefined }
    default:
      throw new Error(`a packet of type ${type}, which no broker sends`)
  }
}

function readPublish(header: number, body: Buffer, five: boolean): Packet {
  const qos = ((header >>> 1) & 3) as QoS
  if ((qos as number) === 3) throw new Error('a PUBLISH with QoS 3')
  need(body, 2)
  let at = 2 + body.readUInt16BE()
  need(body, at + (qos > 0 ? 2 : 0) + (five ? 1 : 0))
  const topic = body.toString('utf8', 2, at)
  // No topic alias was allowed, so each message has its topic name.
  if (!isUtf8(body.subarray(2, at)) || !isTopicName(topic)) throw new Error('a PUBLISH without a topic name') // [MQTT-3.3.2-2]
  let packetId = 0
  if (qos > 0) {
    packetId = packetIdAt(body, at)
    at += 2
  }
  let properties: Properties | undefined
  if (five) ({ properties, end: at } = decodeProperties(body, at))
  return {
    type: PacketType.Publish,
    topic,
    payload: body.subarray(at),
    qos,
    retain: (header & 1) === 1,
    dup: (header & 8) !== 0,
    packetId,
    properties,
  }
}

/** Where the properties end that begin with their length. */
function propertiesEnd(body: Buffer, from: number): number {
  const { value, end } = variable(body, from)
  need(body, end + value)
  return end + value
}

function variable(body: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let i = 0; i < 4; i++) {
    const byte = body[from + i]
    if (byte === undefined) break
    value |= (byte & 0x7f) << (7 * i)
    if (byte <= 0x7f) return { value, end: from + i + 1 }
  }
  throw new Error('a length that does not end')
}

// How the properties lie that CONNACK and DISCONNECT may have (2.2.2.2), and those of them that a bridge asks for.
const bytesOf: Readonly<Record<number, 1 | 2 | 4 | 'text' | 'pair'>> = {
  17: 4,
  18: 'text',
  19: 2,
  21: 'text',
  22: 'text',
  26: 'text',
  28: 'text',
  31: 'text',
  33: 2,
  34: 2,
  36: 1,
  37: 1,
  38: 'pair',
  39: 4,
  40: 1,
  41: 1,
  42: 1,
}
const wanted: Readonly<Record<number, keyof Properties>> = {
  19: 'serverKeepAlive',
  31: 'reasonString',
  33: 'receiveMaximum',
  36: 'maximumQoS',
  37: 'retainAvailable',
  39: 'maximumPacketSize',
}

function answerProperties(body: Buffer, from: number): Properties | undefined {
  if (body.length === from) return undefined
  const { end: first } = variable(body, from)
  const end = propertiesEnd(body, from)
  const found: Record<string, unknown> = {}
  let at = first
  while (at < end) {
    const id = body[at++]!
    const kind = bytesOf[id]
    if (kind === undefined) throw new Error(`a property ${id}, which this packet cannot have`)
    const name = wanted[id]
    if (kind === 'text' || kind === 'pair') {
      for (let i = 0; i < (kind === 'pair' ? 2 : 1); i++) {
        need(body, at + 2)
        const length = body.readUInt16BE(at)
        need(body, at + 2 + length)
        if (name !== undefined) found[name] = body.toString('utf8', at + 2, at + 2 + length)
        at += 2 + length
      }
    } else {
      need(body, at + kind)
      if (name !== undefined) found[name] = body.readUIntBE(at, kind)
      at += kind
    }
  }
  return found as Properties
}

function packetIdAt(body: Buffer, at: number): number {
  need(body, at + 2)
  const packetId = body.readUInt16BE(at)
  if (packetId === 0) throw new Error('a packet identifier 0') // [MQTT-2.2.1-3]
  return packetId
}

function need(body: Buffer, bytes: number): void {
  if (body.length < bytes) throw new Error('a packet that ends too early')
}
