import type { Client } from '../../core/connection/client.ts'
import type { Message } from '../../core/messages/message.ts'

/** What the PUBLISH of a message that another process of this broker has accepted does not say. */
export interface WireSource {
  /** The publisher's client id. */
  readonly clientId: string
  /** The publisher's user name; as `Message.username`. */
  readonly username: string | null | undefined
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number
}

declare module '../../core/broker.js' {
  interface Broker {
    /**
     * Reads a message that another process of this broker has accepted, for `receive`: the PUBLISH that `wireFrame` gave there, which lies in `bytes`. `from`: what the packet does not
     * say of it. `bytes` may be used again as soon as `receive` has returned.
     */
    readWire(bytes: Buffer, start: number, end: number, version: Client['version'], from: WireSource): Message
  }
}
