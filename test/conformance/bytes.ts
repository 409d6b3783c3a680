/** A string as MQTT writes it, in hex: its length in two bytes, then its UTF-8. */
export function text(value: string): string {
  return field(Buffer.from(value).toString('hex'))
}

/** Bytes with their length in front, in hex. */
export function field(hex: string): string {
  return (hex.length / 2).toString(16).padStart(4, '0') + hex
}

/** A packet from its first byte and its body, all in hex. */
export function packet(header: string, ...body: string[]): string {
  const hex = body.join('').replaceAll(/\s/g, '')
  let length = hex.length / 2
  let lengthBytes = ''
  do {
    const digit = length % 128
    length = Math.floor(length / 128)
    lengthBytes += (digit | (length > 0 ? 0x80 : 0)).toString(16).padStart(2, '0')
  } while (length > 0)
  return header + lengthBytes + hex
}

export interface ConnectBytes {
  name?: string
  level?: string
  /** Connect Flags: user name 80, password 40, will retain 20, will QoS 18, will 04, clean session 02, reserved 01. */
  flags?: string
  keepAlive?: string
}

/** A CONNECT of MQTT 3.1.1 whose payload is written out, so that it may be wrong. */
export function connectBytes(
  { name = 'MQTT', level = '04', flags = '02', keepAlive = '0000' }: ConnectBytes,
  ...payload: string[]
): string {
  return packet('10', text(name), level, flags, keepAlive, ...payload)
}
