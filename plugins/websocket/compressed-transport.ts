import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { TransportEvents } from '../../core/connection/transport.ts'
import type { ProxiedPeer } from '../kit/listening/proxies.ts'
import { CloseCode } from './frame-reader.ts'
import { packetEnd } from './packet-size.ts'
import { WebSocketConnection, type WebSocketOptions } from './websocket-connection.ts'

/** One WebSocket of the package `ws`, for listeners that compress. It collects each message before it is read. */
export class CompressedTransport extends WebSocketConnection {
  // From when it is a WebSocket on; the socket is the one above TLS, where there is any.
  #webSocket: WebSocket | null
  #socket: Socket
  readonly #sent: () => void

  constructor(accepted: Socket, options: WebSocketOptions, peer: ProxiedPeer | null = null) {
    super(accepted, options, peer)
    this.#webSocket = null
    this.#socket = accepted
    this.#sent = () => {
      if (this.#webSocket!.bufferedAmount === 0) this.drained()
    }
  }

  /** It is a WebSocket now. */
  over(webSocket: WebSocket, socket: Socket): this {
    this.#webSocket = webSocket
    this.#socket = socket
    return this
  }

  /** Connects the WebSocket's events with the broker. */
  start(events: TransportEvents): void {
    this.events = events
    const webSocket = this.#webSocket!
    webSocket.on('message', (bytes, isBinary) => this.#onMessage(bytes, isBinary))
    webSocket.on('ping', payload => this.answerPing(payload))
    // What breaks WebSocket's own rules has been answered with a close frame.
    webSocket.on('error', error => this.closed(error))
    webSocket.on('close', () => this.closed(undefined))
  }

  #onMessage(bytes: RawData, isBinary: boolean): void {
    if (isBinary) {
      this.events?.onData(bytes as Buffer, 0, (bytes as Buffer).length)
      return
    }
    this.#webSocket!.close(CloseCode.unsupportedData, 'MQTT is binary')
    this.closed(new Error('a text message, where MQTT is binary')) // [MQTT-6.0.0-1]
  }

  protected pong(payload: Buffer): void {
    this.#webSocket!.pong(payload)
  }

  /** A message for each packet, as `FrameTransport` does; what is not compressed leaves in one write. */
  write(bytes: Buffer): boolean {
    const { length } = bytes
    this.#socket.cork()
    for (let at = 0; at < length; ) {
      const next = packetEnd(bytes, at, length)
      this.#webSocket!.send(at === 0 && next === length ? bytes : bytes.subarray(at, next), next === length ? this.#sent : undefined)
      at = next
    }
    this.#socket.uncork()
    return false
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  get bufferedBytes(): number {
    return this.#webSocket?.bufferedAmount ?? 0
  }

  pause(): void {
    this.#webSocket?.pause()
  }

  resume(): void {
    this.#webSocket?.resume()
  }

  end(): void {
    if (this.#webSocket === null) this.accepted.destroy()
    else this.#webSocket.close(CloseCode.normal)
  }

  destroy(): void {
    if (this.#webSocket === null) this.accepted.destroy()
    else this.#webSocket.terminate()
  }
}
