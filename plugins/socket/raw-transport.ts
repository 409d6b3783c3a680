import type { Transport, TransportEvents } from '../../core/connection/transport.ts'
import type { HandleOwner, StreamBinding, TcpHandle, WriteRequest } from './stream-binding.ts'

/**
 * A TCP connection on Node's own handle, without the `net.Socket` that usually lies over it: no state of a stream, no `nextTick`
 * for each write, and one read buffer for all connections.
 */
export class RawTransport implements Transport, HandleOwner {
  readonly protocol = 'tcp'
  readonly listener: string
  readonly remoteAddress: string
  readonly remotePort: number
  /** Bytes that libuv holds, because the kernel did not take them. */
  bufferedBytes: number
  readonly #binding: StreamBinding
  readonly #handle: TcpHandle
  #events: TransportEvents | null
  #error: Error | undefined
  #ending: boolean
  #closed: boolean

  constructor(handle: TcpHandle, binding: StreamBinding, listener: string) {
    const peer: { address?: string; port?: number } = {}
    handle.getpeername(peer)
    this.listener = listener
    this.remoteAddress = peer.address ?? ''
    this.remotePort = peer.port ?? 0
    this.bufferedBytes = 0
    this.#binding = binding
    this.#handle = handle
    this.#events = null
    this.#error = undefined
    this.#ending = false
    this.#closed = false
  }

  /** Begins to read; what comes goes to `events`. */
  start(events: TransportEvents): void {
    if (this.#closed) return
    const handle = this.#handle
    this.#events = events
    handle.owner = this
    handle.onread = this.#binding.onRead
    handle.useUserBuffer(this.#binding.readBuffer)
    handle.readStart()
  }

  write(bytes: Buffer): boolean {
    if (this.#closed) return true
    const binding = this.#binding
    const failed = this.#handle.writeBuffer(binding.request, bytes)
    if (failed === 0 && !binding.wroteLater) return true
    return this.#unfinished(failed, bytes, bytes.length)
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    if (this.#closed) return true
    const binding = this.#binding
    const failed = this.#handle.writev(binding.request, buffers, true)
    if (failed === 0 && !binding.wroteLater) return true
    let size = 0
    for (let i = 0; i < buffers.length; i++) size += buffers[i]!.length
    return this.#unfinished(failed, buffers, size)
  }

  /** The kernel did not take all of it, or the connection is broken. */
  #unfinished(failed: number, kept: Buffer | readonly Buffer[], size: number): boolean {
    if (failed !== 0) {
      this.#fail(failed, 'write')
      return true
    }
    const request: WriteRequest = this.#binding.request
    request.kept = kept
    request.size = size
    request.owner = this
    this.#binding.renewRequest()
    this.bufferedBytes += size
    return false
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
    this.#handle.close(() => {
      this.bufferedBytes = 0
      this.#events?.onClose(this.#error)
    })
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
    if (this.bufferedBytes > 0) return
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
