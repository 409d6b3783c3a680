import './buffer-methods.ts'
import { isUtf8 as isUtf8Bytes } from 'node:buffer'
import { MqttError } from '../errors.ts'
import { ReasonCode } from '../reason.ts'

/** Whether bytes are well-formed UTF-8; surrogates are not. */
export const isUtf8: (bytes: Uint8Array) => boolean = isUtf8Bytes

/** Reads a UTF-8 string: ill-formed bytes, surrogates and U+0000 are refused [MQTT-1.5.4-1] [MQTT-1.5.4-2]; a BOM is kept [MQTT-1.5.4-3]. */
export function readUtf8(bytes: Buffer, start: number, end: number): string {
  let ascii = true
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) throw holdsNull()
    if (byte > 0x7f) ascii = false
  }
  if (ascii) return bytes.latin1Slice(start, end)
  if (!isUtf8Bytes(bytes.subarray(start, end))) throw illFormed()
  return bytes.utf8Slice(start, end)
}

/** Checks a UTF-8 string as `readUtf8` does, and makes none; returns how many UTF-16 code units it would have. */
export function checkUtf8(bytes: Buffer, start: number, end: number): number {
  let ascii = true
  let units = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) throw holdsNull()
    if (byte > 0x7f) ascii = false
    // A letter of four bytes is a pair of surrogates; the bytes behind the first are counted with it.
    if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1
  }
  if (!ascii && !isUtf8Bytes(bytes.subarray(start, end))) throw illFormed()
  return units
}

const holdsNull = (): MqttError => new MqttError(ReasonCode.MalformedPacket, 'a string holds U+0000')
const illFormed = (): MqttError => new MqttError(ReasonCode.MalformedPacket, 'a string is not well-formed UTF-8')
