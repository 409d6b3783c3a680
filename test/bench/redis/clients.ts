import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** The CONNECT of a persistent 3.1.1 client. */
export function connectPacket(clientId: string, isClean = false): Buffer {
  const id = Buffer.from(clientId)
  const flags = isClean ? 2 : 0
  const body = Buffer.concat([Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, flags, 0, 0, id.length >> 8, id.length & 255]), id])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

/** A SUBSCRIBE to one short filter at QoS 1, with packet identifier 1. */
export function subscribePacket(filter: string): Buffer {
  const name = Buffer.from(filter)
  return Buffer.concat([Buffer.from([0x82, name.length + 5, 0, 1, 0, name.length]), name, Buffer.from([1])])
}

/** One client's CONNECT and, with a filter, its SUBSCRIBE; resolves when both are answered. `present`: a session must be there. */
export function come(port: number, clientId: string, { filter = '', isClean = false, present = false } = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let got = Buffer.alloc(0)
    const read = (data: Buffer): void => {
      got = Buffer.concat([got, data])
      if (got.length < (filter === '' ? 4 : 9)) return
      socket.off('data', read)
      if (got[0] !== 0x20 || got[3] !== 0) reject(new Error(`${clientId}: CONNACK ${got.toString('hex')}`))
      else if (present && got[2] !== 1) reject(new Error(`${clientId} has no session`))
      else resolve(socket)
    }
    socket.on('error', reject)
    socket.on('data', read)
    const packet = connectPacket(clientId, isClean)
    socket.write(filter === '' ? packet : Buffer.concat([packet, subscribePacket(filter)]))
  })
}

/** DISCONNECT, all of them. */
export async function leave(sockets: readonly Socket[]): Promise<void> {
  const gone = sockets.map(socket => once(socket, 'close'))
  for (const socket of sockets) socket.end(Buffer.from([0xe0, 0]))
  await Promise.all(gone)
}

/** Waits until somebody listens there. */
export async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const is = await new Promise(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (is) return
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
