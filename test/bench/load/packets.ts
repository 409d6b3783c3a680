/** The few MQTT 3.1.1 packets that a load is made of, built once. */

function lengthBytes(length: number): number[] {
  const bytes: number[] = []
  let left = length
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
    left >>>= 7
  } while (left > 0)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function packet(header: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([header, ...lengthBytes(body.length)]), body])
}

export function connect(clientId: string, clean: boolean, keepAlive = 600): Buffer {
  return packet(0x10, text('MQTT'), Buffer.from([4, clean ? 2 : 0, keepAlive >> 8, keepAlive & 0xff]), text(clientId))
}

export function subscribe(filters: readonly string[], qos: number): Buffer {
  return packet(0x82, Buffer.from([0, 1]), ...filters.map(filter => Buffer.concat([text(filter), Buffer.from([qos])])))
}

export function unsubscribe(filters: readonly string[]): Buffer {
  return packet(0xa2, Buffer.from([0, 1]), ...filters.map(text))
}

/** A PUBLISH whose packet identifier and payload are written into it at each use. */
export function publish(topic: string, payload: Buffer, qos: number, retain = false): Buffer {
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0), text(topic), Buffer.alloc(qos > 0 ? 2 : 0), payload)
}

export const pingreq = Buffer.from([0xc0, 0])
