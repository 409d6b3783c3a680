import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Log } from '../../../core/log.ts'
import { RawTransport } from './raw-transport.ts'
import { lentHandle, rawHandles } from './stream-binding.ts'

/** What lies on a handle: TCP as it is accepted, or TLS behind its handshake. */
export type HandleKind = 'tcp' | 'tls'

const trials = new Map<HandleKind, Promise<string | null>>()

/**
 * Whether connections of this kind go by Node's own handles: where somebody wants them to, and a trial on loopback has shown that they work. There is one
 * trial for each kind in a process, of some milliseconds; where it fails one line says so, and all connections go the documented way.
 */
export async function usesHandles(kind: HandleKind, wanted: boolean, log: Log): Promise<boolean> {
  // Not tried elsewhere: there a read may not be one step with its callback.
  if (!wanted || process.platform !== 'linux') return false
  const known = trials.get(kind)
  if (known !== undefined) return (await known) === null
  const trial = tryHandles(kind)
  trials.set(kind, trial)
  const why = await trial
  if (why === null) return true
  log.warn(
    { kind, why },
    `connections by ${kind.toUpperCase()} are read and written the documented way, at more CPU for each packet: a trial of Node's own handles failed: ${why}`,
  )
  return false
}

// So many looks at the clock, of which a process that was busy for long counts one.
const looksMax = 20
const lookMs = 50
const question = Buffer.from('a question that comes in one piece')
// More than TLS puts into one record, and so much that the other side reads it in several pieces.
const answer = Buffer.alloc(100_000, 'the answer, which is longer')

/** Has one connection on loopback read, write and end by its handle. Resolves to what went wrong; null: nothing. */
export async function tryHandles(kind: HandleKind): Promise<string | null> {
  const trial = new Trial()
  let looks = 0
  const timer = setInterval(() => {
    looks += 1
    if (looks === looksMax) trial.over('it did not end in time')
  }, lookMs)
  try {
    if (kind === 'tcp') trial.onTcp()
    else trial.onTls()
    return await trial.outcome
  } catch (error) {
    return (error as Error).message
  } finally {
    clearInterval(timer)
    trial.close()
  }
}

class Trial {
  readonly outcome: Promise<string | null>
  over: (why: string | null) => void
  #server: Server | null
  #client: Socket | null
  #transport: RawTransport | null

  constructor() {
    this.over = () => {}
    this.outcome = new Promise(resolve => (this.over = resolve))
    this.#server = null
    this.#client = null
    this.#transport = null
  }

  onTcp(): void {
    const server = createTcpServer()
    this.#listen(server, port => {
      const raw = rawHandles(server)
      if (raw === null) return this.over('this Node has none')
      raw.handle.onconnection = (failed, handle) => {
        if (handle === undefined) return this.over(`accept failed with ${failed}`)
        this.#serve(() => new RawTransport(handle, raw.binding, { protocol: 'tcp', listener: 'trial' }))
      }
      this.#ask(connect({ port, host: '127.0.0.1' }))
    })
  }

  // With a key that both sides know already no certificate has to be made.
  onTls(): void {
    const psk = Buffer.alloc(16, 'trial')
    const common = { ciphers: 'PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const
    const server = createTlsServer({ ...common, pskCallback: () => psk }, (socket: TLSSocket) => {
      socket.on('error', error => this.over(error.message))
      const lent = lentHandle(socket)
      if (lent === null) return this.over('this Node has none')
      this.#serve(() => new RawTransport(lent.handle, lent.binding, { protocol: 'tls', listener: 'trial', lender: socket, encrypts: true }))
    })
    server.on('tlsClientError', error => this.over(error.message))
    this.#listen(server, port => {
      const options = { ...common, port, host: '127.0.0.1', checkServerIdentity: () => undefined }
      this.#ask(tlsConnect({ ...options, pskCallback: () => ({ psk, identity: 'trial' }) }))
    })
  }

  #listen(server: Server, listening: (port: number) => void): void {
    this.#server = server
    server.on('error', error => this.over(error.message))
    // A worker of a broker listens by itself here, not with the others.
    server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => listening((server.address() as { port: number }).port))
  }

  #ask(client: Socket): void {
    this.#client = client
    const heard: Buffer[] = []
    client.on('error', error => this.over(error.message))
    client.on('data', bytes => heard.push(bytes))
    client.on('end', () => {
      if (!Buffer.concat(heard).equals(answer)) this.over('other bytes were written than were given')
    })
    client.write(question)
  }

  #serve(open: () => RawTransport): void {
    try {
      const transport = open()
      this.#transport = transport
      const heard: Buffer[] = []
      transport.start({
        onData: (chunk, start, end) => {
          heard.push(Buffer.from(chunk.subarray(start, end)))
          const bytes = Buffer.concat(heard)
          if (bytes.length < question.length) return
          if (!bytes.equals(question)) return this.over('other bytes were read than came')
          transport.write(Buffer.from(answer.subarray(0, 10)))
          transport.writeMany([Buffer.from(answer.subarray(10, 20)), Buffer.from(answer.subarray(20))])
          transport.end()
        },
        onDrain: () => {},
        // The client has closed its side behind the answer.
        onClose: error => this.over(error === undefined ? null : error.message),
      })
    } catch (error) {
      this.over((error as Error).message)
    }
  }

  close(): void {
    this.#transport?.destroy()
    this.#client?.destroy()
    this.#server?.close()
  }
}
