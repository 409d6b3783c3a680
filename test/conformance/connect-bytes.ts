import { encodePacket } from '../../presets/testing/packet-codec.ts'
import { type ConnectOptions, connectPacket } from '../support/client.ts'

/** Where the bytes of a CONNECT lie whose remaining length fits into one byte. */
export const At = { nameLength: 2, name: 4, level: 8, flags: 9, keepAlive: 10 } as const

/** A CONNECT of MQTT 5 in hex, with what `change` breaks in it. */
export function connectBytes(options: ConnectOptions, change: (bytes: Buffer) => void = () => {}): string {
  const bytes = encodePacket(connectPacket({ ...options, version: 5 }), 5)
  if (bytes[1]! > 127) throw new RangeError('the places of At are those of a short CONNECT')
  change(bytes)
  return bytes.toString('hex')
}
