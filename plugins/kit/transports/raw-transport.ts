import type { Socket } from 'node:net'
import type { PeerCertificate, Proxied, Seats, Transport, TransportEvents } from '../../../core/connection/transport.ts'
import type { ProxiedPeer } from '../listening/proxies.ts'
import type { HandleOwner, StreamBinding, TcpHandle, WriteRequest } from './stream-binding.ts'

/** What a connection is, besides its handle. */
export interface RawOptions {
  /** What is spoken: `tcp`, `tls`, `ws`, `wss`. */
  readonly protocol: string
  /** The listener's name, for logs and settings: `socket`. */
  readonly listener: string
  /** The listener's places, one for each connection; `undefined`: there is no limit. */
  readonly seats?: Seats | undefined
  /** Whether clients on whom no plugin has an opinion are let in here; `undefined`: as `allowAnonymous` at the root says. */
  readonly allowAnonymous?: boolean | undefined
  /** The socket that the handle was lent by: it closes the handle, and tells of what goes wrong with it. */
  readonly lender?: Socket
  /** The client behind a trusted proxy, in place of whom the handle is connected with; `null`: there is no proxy. */
  readonly peer?: ProxiedPeer | null
  /** Nobody has an address: a Unix socket between processes of the broker. */
  readonly unnamed?: boolean
  /** TLS: the handle copies what it is given before `write` returns, and says a turn later that it is gone, always. */
  readonly encrypts?: boolean
}

const none: Buffer[] = []

/**
 * A TCP connection on Node's own handle, without the `net.Socket` that usually lies over it: no state of a stream, no `nextTick`
 * for each write, and one read buffer for all connections.
 */
export class RawTransport implements Transport, HandleOwner {
  readonly protocol: string
  readonly listener: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly seats: Seats | undefined
  readonly allowAnonymous: boolean | undefined
  readonly returnsBuffers = true
  /** Bytes that libuv holds, because the kernel did not take them. */
  bufferedBytes: number
  readonly #peer: ProxiedPeer | null
  readonly #binding: StreamBinding
  readonly #handle: TcpHandle
  readonly #lender: Socket | null
  readonly #encrypts: boolean
  // TLS takes one write at a time, and aborts the process at a second one: what is said meanwhile, a pong or a good-bye, waits here.
  #waiting: Buffer[]
  #events: TransportEvents | null
  #error: Error | undefined
  #ending: boolean
  #closed: boolean

  constructor(handle: TcpHandle, binding: StreamBinding, options: RawOptions) {
    const peer = options.peer ?? null
    const name: { address?: string; port?: number } = {}
    if (peer === null && options.unnamed !== true) handle.getpeername(name)
    this.protocol = options.protocol
    this.listener = options.listener
    this.seats = options.seats
    this.allowAnonymous = options.allowAnonymous
    this.remoteAddress = peer?.remoteAddress ?? name.address ?? ''
    this.remotePort = peer?.remotePort ?? name.port ?? 0
    this.bufferedBytes = 0
    this.#peer = peer
    this.#binding = binding
    this.#handle = handle
    this.#lender = options.lender ?? null
    this.#encrypts = options.encrypts ?? false
    this.#waiting = none
    this.#events = null
    this.#error = undefined
    this.#ending = false
    this.#closed = false
  }

  get proxied(): Proxied | undefined {
    return this.#peer?.proxied
  }

  get peerCertificate(): PeerCertificate | undefined {
    return this.#peer?.peerCertificate
  }

  /** Begins to read; what comes goes to `events`. */
  start(events: TransportEvents): void {
    if (this.#closed) return
    const handle = this.#handle
    this.#events = events
    this.#lender?.on('error', error => {
      this.#error ??= error
    })
    this.#lender?.on('close', () => this.#gone())
    handle.owner = this
    handle.onread = this.#binding.onRead
    handle.useUserBuffer(this.#binding.readBuffer)
    handle.readStart()
  }

  write(bytes: Buffer): boolean {
    if (this.#closed) return true
    if (this.#encrypts && this.bufferedBytes > 0) return this.#wait(Buffer.from(bytes))
    const binding = this.#binding
    const failed = this.#handle.writeBuffer(binding.request, bytes)
    if (failed === 0 && !binding.wroteLater) return true
    return this.#unfinished(failed, bytes, bytes.length)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    if (this.#closed) return true
    if (this.#encrypts && this.bufferedBytes > 0) return this.#wait(Buffer.concat(buffers))
    const binding = this.#binding
    const failed = this.#handle.writev(binding.request, buffers, true)
    if (failed === 0 && !binding.wroteLater) return true
    let size = 0
    for (let i = 0; i < buffers.length; i++) size += buffers[i]!.length
    return this.#unfinished(failed, buffers, size)
  }

  #wait(copy: Buffer): true {
    this.#waiting = [...this.#waiting, copy]
    this.bufferedBytes += copy.length
    return true
  }

  /** The kernel did not take all of it, or the connection is broken. */
  #unfinished(failed: number, kept: Buffer | readonly Buffer[], size: number): boolean {
    if (failed !== 0) {
      this.#fail(failed, 'write')
      return true
    }
    const request: WriteRequest = this.#binding.request
    request.kept = this.#encrypts ? null : kept
    request.size = size
    request.owner = this
    this.#binding.renewRequest()
    this.bufferedBytes += size
    return this.#encrypts
  }

  pause(): void {
    if (!this.#closed && !this.#ending) this.#handle.readStop()
  }

  resume(): void {
    if (!this.#closed) this.#handle.readStart()
  }

  end(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    // Nothing that the other side still says matters, but its end has to be seen.
    this.#handle.readStart()
    if (this.bufferedBytes === 0) this.#shutdown()
  }

  destroy(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handle.owner = null
    if (this.#lender !== null) this.#lender.destroy()
    else this.#handle.close(() => this.#gone())
  }

  #gone(): void {
    this.#closed = true
    this.bufferedBytes = 0
    this.#waiting = none
    const events = this.#events
    this.#events = null
    events?.onClose(this.#error)
  }

  onRead(result: number): void {
    if (result > 0) this.#events!.onData(this.#binding.readBuffer, 0, result)
    else if (this.#binding.isEnd(result)) this.destroy()
    else if (result < 0) this.#fail(result, 'read')
  }

  /** libuv has written what it kept, or given up. */
  onWritten(size: number, failed: number): void {
    if (this.#closed) return
    if (failed !== 0) return this.#fail(failed, 'write')
    this.bufferedBytes -= size
    if (this.bufferedBytes > 0) {
      const waiting = this.#waiting
      if (waiting.length === 0) return
      this.#waiting = none
      this.bufferedBytes = 0
      this.write(Buffer.concat(waiting))
      return
    }
    if (this.#ending) this.#shutdown()
    else this.#events?.onDrain()
  }

  #shutdown(): void {
    if (this.#handle.shutdown(this.#binding.shutdownRequest()) !== 0) this.destroy()
  }

  #fail(code: number, call: string): void {
    this.#error ??= this.#binding.errorOf(code, call)
    this.destroy()
  }
}
