import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

const keepAliveMs = 60_000
// No answer to what a bridge asks is anywhere near as long; Kafka itself takes no longer requests by default.
const answerBytesMax = 100 * 1024 * 1024

/** What kafkajs asks for. */
interface Wanted {
  readonly host: string
  readonly port: number
  readonly ssl: ConnectionOptions | undefined
  readonly onConnect: () => void
}

/**
 * A connection to Kafka that hands on only what can be an answer. kafkajs reads what comes in the socket's own event, so what it cannot read is
 * nobody's to catch and would end the process (2.2.4: a length below four bytes); and it keeps whatever a length announces.
 */
export function kafkaSocket({ host, port, ssl, onConnect }: Wanted): Socket {
  const socket =
    ssl === undefined || ssl === null
      ? connectTcp({ host, port }, onConnect)
      : connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
  socket.setKeepAlive(true, keepAliveMs)
  const frames = new FrameLengths()
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'data') return emit(event, ...args)
    // What came behind an answer that was none has no meaning any more.
    if (socket.destroyed) return true
    try {
      frames.feed(args[0] as Buffer)
      return emit(event, ...args)
    } catch (error) {
      socket.destroy(error as Error)
      return true
    }
  }
  return socket
}

/** Follows the lengths that stand before each answer. */
class FrameLengths {
  readonly #length = Buffer.alloc(4)
  // Bytes of the length that have come, and bytes of the answer that are still to come.
  #lengthBytes = 0
  #left = 0

  feed(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at)
        this.#left -= taken
        at += taken
        continue
      }
      this.#length[this.#lengthBytes++] = chunk[at++]!
      if (this.#lengthBytes < 4) continue
      this.#lengthBytes = 0
      const length = this.#length.readInt32BE()
      if (length < 0 || length > answerBytesMax) throw new Error(`not Kafka: an answer of ${length} bytes is announced`)
      this.#left = length
    }
  }
}
