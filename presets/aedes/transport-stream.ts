import { Duplex } from 'node:stream'
import type { Transport } from '../index.ts'

/**
 * Stands for the stream of a client that came by a listener of the config: it says where the client is, and `destroy` ends the connection. Nothing can be read from it or
 * written to it, because the broker does that.
 */
export class TransportStream extends Duplex {
  /** The client's address. */
  readonly remoteAddress: string
  /** The client's port. */
  readonly remotePort: number

  constructor(transport: Transport) {
    super({
      read() {},
      write: (_chunk, _encoding, callback) => callback(new Error('the broker writes to this connection; publish to the client')),
      destroy(error, callback) {
        transport.destroy()
        callback(error)
      },
    })
    this.remoteAddress = transport.remoteAddress
    this.remotePort = transport.remotePort
  }
}
