import { createHash, randomBytes } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'

/** How a load's bytes travel. */
export type Way = 'tcp' | 'tls' | 'ws' | 'wss'

/** A stream of MQTT bytes to a broker. */
export interface Wire {
  write(bytes: Buffer): void
  onBytes: (bytes: Buffer) => void
  onClose: (error: Error | undefined) => void
  destroy(): void
}

/** Opens a connection; resolves when MQTT may begin. */
export async function openWire(way: Way, port: number): Promise<Wire> {
  const secure = way === 'tls' || way === 'wss'
  const options = { port, host: '127.0.0.1', noDelay: true }
  // What a client does to check the broker's certificate is not what is measured.
  const socket = secure ? tls.connect({ ...options, rejectUnauthorized: false, servername: 'localhost' }) : net.connect(options)
  await new Promise<void>((resolve, reject) => {
    socket.once(secure ? 'secureConnect' : 'connect', resolve)
    socket.once('error', reject)
  })
  if (way === 'ws' || way === 'wss') return upgraded(socket)
  const wire: Wire = {
    write: bytes => void socket.write(bytes),
    onBytes: () => {},
    onClose: () => {},
    destroy: () => socket.destroy(),
  }
  socket.on('data', bytes => wire.onBytes(bytes))
  closing(socket, wire)
  return wire
}

function closing(socket: net.Socket, wire: Wire): void {
  let failed: Error | undefined
  socket.on('error', error => {
    failed = error
  })
  socket.on('close', () => wire.onClose(failed))
}

async function upgraded(socket: net.Socket): Promise<Wire> {
  const key = randomBytes(16).toString('base64')
  const headers = [
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: mqtt',
  ]
  socket.write(`GET /mqtt HTTP/1.1\r\n${headers.join('\r\n')}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`)
  let held: Buffer = Buffer.alloc(0)
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk])
      const end = held.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', read)
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const head = held.toString('latin1', 0, end)
      if (!head.includes(accept)) reject(new Error(`no WebSocket: ${head.split('\r\n')[0]}`))
      held = held.subarray(end + 4)
      resolve()
    }
    socket.on('data', read)
  })
  const wire: Wire = {
    write: bytes => void socket.write(frame(bytes)),
    onBytes: () => {},
    onClose: () => {},
    destroy: () => socket.destroy(),
  }
  socket.on('data', chunk => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    held = unframe(held, wire)
  })
  closing(socket, wire)
  return wire
}

// Any key but zero will do: a server has to undo it.
const mask = [0x5a, 0xa5, 0x3c, 0xc3]

function frame(bytes: Buffer): Buffer {
  const size = bytes.length
  const start = size < 126 ? 6 : size < 65_536 ? 8 : 14
  const out = Buffer.allocUnsafe(start + size)
  out[0] = 0x82
  if (size < 126) out[1] = 0x80 | size
  else if (size < 65_536) {
    out[1] = 0xfe
    out.writeUInt16BE(size, 2)
  } else {
    out[1] = 0xff
    out.writeBigUInt64BE(BigInt(size), 2)
  }
  for (let i = 0; i < 4; i++) out[start - 4 + i] = mask[i]!
  for (let i = 0; i < size; i++) out[start + i] = bytes[i]! ^ mask[i & 3]!
  return out
}

/** Hands over what whole frames hold; returns the rest. */
function unframe(held: Buffer, wire: Wire): Buffer {
  let at = 0
  while (held.length - at >= 2) {
    let size = held[at + 1]! & 0x7f
    let start = at + 2
    if (size === 126) {
      if (held.length - at < 4) break
      size = held.readUInt16BE(start)
      start += 2
    } else if (size === 127) {
      if (held.length - at < 10) break
      size = Number(held.readBigUInt64BE(start))
      start += 8
    }
    if (held.length < start + size) break
    wire.onBytes(held.subarray(start, start + size))
    at = start + size
  }
  return held.subarray(at)
}
