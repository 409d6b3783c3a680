import type { RawData, WebSocket } from 'ws'
import type { TransportEvents } from '../../core/connection/transport.ts'
import { CloseCode } from './frame-reader.ts'
import { WebSocketConnection, type WebSocketOptions } from './websocket-connection.ts'

/** One WebSocket of the package `ws`, for listeners that compress. It collects each message before it is read. */
export class CompressedTransport extends WebSocketConnection {
  readonly #webSocket: WebSocket
  readonly #sent: () => void

  constructor(webSocket: WebSocket, options: WebSocketOptions) {
    super(options)
    this.#webSocket = webSocket
    this.#sent = () => {
      if (this.#webSocket.bufferedAmount === 0) this.drained()
    }
  }

  /** Connects the WebSocket's events with the broker. */
  start(events: TransportEvents): void {
    this.events = events
    const webSocket = this.#webSocket
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
    this.#webSocket.close(CloseCode.unsupportedData, 'MQTT is binary')
    this.closed(new Error('a text message, where MQTT is binary')) // [MQTT-6.0.0-1]
  }

  protected pong(payload: Buffer): void {
    this.#webSocket.pong(payload)
  }

  write(bytes: Buffer): boolean {
    this.#webSocket.send(bytes, this.#sent)
    return false
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  get bufferedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  pause(): void {
    this.#webSocket.pause()
  }

  resume(): void {
    this.#webSocket.resume()
  }

  end(): void {
    this.#webSocket.close(CloseCode.normal)
  }

  destroy(): void {
    this.#webSocket.terminate()
  }
}
