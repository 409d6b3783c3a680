import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import * as packets from '../load/packets.ts'

/** One client's CONNECT and, with filters, its SUBSCRIBE at QoS 1; resolves when both are answered. `present`: a session must be there. */
export function come(
  port: number,
  clientId: string,
  { filters = [], present = false }: { filters?: readonly string[]; present?: boolean } = {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let got = Buffer.alloc(0)
    const read = (data: Buffer): void => {
      got = Buffer.concat([got, data])
      if (got.length < (filters.length === 0 ? 4 : 9)) return
      socket.off('data', read)
      if (got[0] !== 0x20 || got[3] !== 0) reject(new Error(`${clientId}: CONNACK ${got.toString('hex')}`))
      else if (present && got[2] !== 1) reject(new Error(`${clientId} has no session`))
      else resolve(socket)
    }
    socket.on('error', reject)
    socket.on('data', read)
    const packet = packets.connect(clientId, false)
    socket.write(filters.length === 0 ? packet : Buffer.concat([packet, packets.subscribe(filters, 1)]))
  })
}

/** DISCONNECT, all of them. */
export async function leave(sockets: readonly Socket[]): Promise<void> {
  const gone = sockets.map(socket => once(socket, 'close'))
  for (const socket of sockets) socket.end(Buffer.from([0xe0, 0]))
  await Promise.all(gone)
}
