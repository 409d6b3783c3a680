import type { Server, Socket } from 'node:net'
import { getSystemErrorMap, getSystemErrorName } from 'node:util'
import { readBuffer } from '../../../core/connection/buffer-pool.ts'

/** Node's own handle of one TCP connection, as far as it is used here. */
export interface TcpHandle {
  /** The connection that the handle belongs to; set by this package, not by Node. */
  owner: HandleOwner | null
  /** What Node calls when something was read. */
  onread: (this: TcpHandle) => void
  /** What is read goes into this buffer. */
  useUserBuffer(buffer: Uint8Array): void
  /** Begins to read; 0: done. */
  readStart(): number
  /** Reads no more; 0: done. */
  readStop(): number
  /** Writes; 0: done, or going on. */
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  /** Writes several buffers; 0: done, or going on. */
  writev(request: WriteRequest, buffers: readonly Buffer[], allBuffers: true): number
  /** Ends the writing half; 0: done. */
  shutdown(request: object): number
  /** Sends small packets at once; 0: done. */
  setNoDelay(on: boolean): number
  /** Has the system ask a silent client, after so many seconds, whether it is still there; 0: done. */
  setKeepAlive(on: boolean, seconds: number): number
  /** Writes the client's address and port into an object; 0: done. */
  getpeername(into: { address?: string; port?: number }): number
  /** Closes the connection, and calls back when it is closed. */
  close(callback: () => void): void
}

/** Who is told of what happens on a handle. */
export interface HandleOwner {
  /** Bytes lie in the shared buffer, or a negative error number. */
  onRead(result: number): void
}

/** What libuv knows a write by that the kernel did not take at once. */
export interface WriteRequest {
  /** What Node calls when the write is done; `failed` is 0 or a negative error number. */
  oncomplete: (this: WriteRequest, failed: number) => void
  /** The bytes: libuv points into them until `oncomplete`. */
  kept: unknown
  /** Bytes of the write. */
  size: number
  /** The connection whose `onWritten` is called when the write is done. */
  owner: { onWritten(size: number, failed: number): void } | null
}

/** The handle of a listening server. */
export interface ServerHandle {
  /** What Node calls for a new connection; `failed` is 0 or a negative error number. */
  onconnection: (failed: number, handle: TcpHandle | undefined) => void
}

interface Binding {
  /** Node's request to write. */
  WriteWrap: new () => WriteRequest
  /** Node's request to end the writing half. */
  ShutdownWrap: new () => { oncomplete: () => void }
  /** What Node says of the last read and the last write. */
  streamBaseState: Int32Array
  /** Where in `streamBaseState` the result of the last read is. */
  kReadBytesOrError: number
  /** Where in `streamBaseState` it says that the last write goes on. */
  kLastWriteWasAsync: number
}

const streamMethods = ['useUserBuffer', 'readStart', 'readStop', 'writeBuffer', 'writev', 'shutdown', 'close'] as const
const tcpMethods = [...streamMethods, 'setNoDelay', 'setKeepAlive', 'getpeername'] as const

/**
 * What Node itself stands its sockets on, for connections that go without `net.Socket`. A packet that comes alone and is
 * answered alone costs 1 to 2 µs less that way, a connection half the time and a third of the memory (`docs/benchmarks.md`).
 *
 * None of it is documented, so everything that is used is looked for first and tried (`usesHandles`), and where something is missing or works otherwise
 * the broker reads and writes the documented way.
 */
export class StreamBinding {
  /** One for all connections: a read and its callback are one step, so what is read is parsed before anything else is. */
  readonly readBuffer: Buffer
  readonly #binding: Binding
  readonly #state: Int32Array
  readonly #lastRead: number
  readonly #wroteLater: number
  readonly #endOfFile: number
  /** Node's callback for what a handle has read, for all handles. */
  readonly onRead: (this: TcpHandle) => void
  /** For the next write. One that the kernel takes at once leaves it as it was. */
  request: WriteRequest

  constructor(binding: Binding) {
    this.readBuffer = readBuffer
    this.#binding = binding
    this.#state = binding.streamBaseState
    this.#lastRead = binding.kReadBytesOrError
    this.#wroteLater = binding.kLastWriteWasAsync
    this.#endOfFile = [...getSystemErrorMap()].find(([, [name]]) => name === 'EOF')?.[0] ?? -4095
    const state = this.#state
    const lastRead = this.#lastRead
    this.onRead = function () {
      this.owner?.onRead(state[lastRead]!)
    }
    this.request = this.#newRequest()
  }

  /** The last write was not taken whole: `request` belongs to it now, and `renewRequest` must be called. */
  get wroteLater(): boolean {
    return this.#state[this.#wroteLater] !== 0
  }

  /** Makes the request for the next write, because the last one is still in use. */
  renewRequest(): void {
    this.request = this.#newRequest()
  }

  /** A request to end the writing half of a handle; it calls back when that is done. */
  shutdownRequest(): object {
    const request = new this.#binding.ShutdownWrap()
    request.oncomplete = nothing
    return request
  }

  /** Whether a result of reading says that the stream has ended. */
  isEnd(result: number): boolean {
    return result === this.#endOfFile
  }

  /** As Node words the errors of its sockets. */
  errorOf(code: number, call: string): NodeJS.ErrnoException {
    const name = getSystemErrorName(code)
    return Object.assign(new Error(`${call} ${name}`), { errno: code, code: name, syscall: call })
  }

  // All fields at once: every request has the same shape.
  #newRequest(): WriteRequest {
    const request = new this.#binding.WriteWrap()
    request.oncomplete = onComplete
    request.kept = null
    request.size = 0
    request.owner = null
    return request
  }
}

let known: StreamBinding | null | undefined

/** The handle of a server that listens, and what its connections need; null where connections must go the documented way. */
export function rawHandles(server: Server): { handle: ServerHandle; binding: StreamBinding } | null {
  const { _handle: handle } = server as unknown as { _handle?: ServerHandle }
  // A server's handle is of the same class as its connections'. In a worker of `node:cluster` that is handed its connections a plain object stands in for it, and each connection is looked at.
  if (typeof handle?.onconnection !== 'function' || !(standsIn(handle) || isTcpHandle(handle))) return null
  known ??= load()
  return known === null ? null : { handle, binding: known }
}

/** The handle of a socket that is open, lent to one who reads and writes in its place; null where the documented way has to do. */
export function lentHandle(socket: Socket): { handle: TcpHandle; binding: StreamBinding } | null {
  const { _handle: handle } = socket as unknown as { _handle?: TcpHandle }
  if (handle == null || !isTcpHandle(handle)) return null
  known ??= load()
  return known === null ? null : { handle, binding: known }
}

/** The same of a Unix socket, whose handle has no address and no options of TCP. */
export function lentStream(socket: Socket): { handle: TcpHandle; binding: StreamBinding } | null {
  const { _handle: handle } = socket as unknown as { _handle?: TcpHandle }
  if (handle == null || !hasAll(handle, streamMethods)) return null
  known ??= load()
  return known === null ? null : { handle, binding: known }
}

/** Whether it has all that is used here. */
export function isTcpHandle(handle: object): handle is TcpHandle {
  return hasAll(handle, tcpMethods)
}

function hasAll(handle: object, methods: readonly (keyof TcpHandle)[]): boolean {
  return methods.every(name => typeof (handle as Partial<TcpHandle>)[name] === 'function')
}

function standsIn(handle: object): boolean {
  return Object.getPrototypeOf(handle) === Object.prototype
}

function load(): StreamBinding | null {
  try {
    const { binding } = process as unknown as { binding(name: string): Partial<Binding> }
    const found = binding('stream_wrap')
    const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = found
    const whole =
      typeof WriteWrap === 'function' &&
      typeof ShutdownWrap === 'function' &&
      streamBaseState instanceof Int32Array &&
      Number.isInteger(kReadBytesOrError) &&
      Number.isInteger(kLastWriteWasAsync)
    return whole ? new StreamBinding(found as Binding) : null
  } catch {
    // The permission model refuses it, or this Node has it no more.
    return null
  }
}

function onComplete(this: WriteRequest, failed: number): void {
  const { owner, size } = this
  this.kept = null
  owner?.onWritten(size, failed)
}

function nothing(): void {}
