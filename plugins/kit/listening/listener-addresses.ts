/** Where clients can connect. */
export interface ListenerAddress {
  /** The name of the plugin that listens. */
  readonly name: string
  /** What is spoken: `tcp`, `tls`, `ws`, `wss`. */
  readonly protocol: string
  /** The address or name that it binds to. */
  readonly host: string
  /** The TCP port. */
  readonly port: number
}

declare module '../../../core/broker.js' {
  interface Broker {
    /** Where clients can connect, in the order in which it opened. */
    readonly listeners: readonly ListenerAddress[]
    /** Anybody may connect and nobody has said that this is meant; a listener may have said so for itself. */
    unguarded(allowAnonymous?: boolean): boolean
    /** The addresses that a listener binds to: `host`, or loopback only while anybody may connect and nobody said that this is meant. */
    addressesFor(host: string, allowAnonymous?: boolean): string[]
    /** A listener says where clients can connect. */
    listening(address: ListenerAddress): void
  }
}
