import type { ReasonCode } from '../reason.ts'
import type { Refusal } from '../refusals.ts'

/** What a client's certificate says. */
export interface PeerCertificate {
  /** The distinguished name as RFC 4514 writes it, most particular part first: `CN=meter-7,O=Example`. */
  readonly subject: string
  /** The last common name of the subject. */
  readonly commonName: string | undefined
  /** The issuer's distinguished name. */
  readonly issuer: string
  /** The serial number, in hexadecimal digits. */
  readonly serialNumber: string
  /** SHA-256 of the whole certificate: 64 hexadecimal digits, lower case, no colons. */
  readonly fingerprint: string
  /** Milliseconds since the Unix epoch. */
  readonly validFrom: number
  /** Milliseconds since the Unix epoch. */
  readonly validTo: number
  /**
   * The certificate was issued by one of the CAs that are asked for here, and is valid now. Nothing is to be believed of one that is not
   * verified.
   */
  readonly verified: boolean
}

/** What a trusted proxy in front of the broker said of a connection. */
export interface Proxied {
  /** The proxy's own address. */
  readonly by: string
  /** What the proxy said of the client's TLS, which ends at the proxy; `undefined` where it said nothing, or there is none. */
  readonly tls?: ProxiedTls | undefined
}

/** TLS between a client and a proxy, as far as the proxy told. */
export interface ProxiedTls {
  /** `TLSv1.3`. */
  readonly version: string | undefined
  /** The cipher, in OpenSSL's words. */
  readonly cipher: string | undefined
  /** The host that the client named (SNI). */
  readonly serverName: string | undefined
  /** The protocol that was agreed on (ALPN). */
  readonly alpn: string | undefined
}

/** The request that a connection began with, HTTP's before a WebSocket. There may be secrets in it: show it nowhere. */
export interface TransportRequest {
  /** Path and query, as they came. */
  readonly url: string
  /** What the headers say, by their names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** The places of a listener, of which each of its connections takes one. */
export interface Seats {
  /** Takes one; `false` where there is none left. */
  take(): boolean
  /** Gives one back. */
  free(): void
  /** Where the listener's options stand in the config, `socket[1]`, by which figures call it. Left out: by its name. */
  readonly at?: string | undefined
}

/** What a listener hands to the broker: one byte stream to one client. */
export interface Transport {
  /** `tcp`, `tls`, `ws`, `wss`, `memory`… for logs and metrics. */
  readonly protocol: string
  /** The client's address, or a name in its place. */
  readonly remoteAddress: string
  /** The client's port; 0 where there is none. */
  readonly remotePort: number
  /** The listener's own name, for its settings. */
  readonly listener: string
  /** Whether clients on whom no plugin has an opinion are let in here. `undefined`: as `allowAnonymous` at the root says. */
  readonly allowAnonymous?: boolean | undefined
  /**
   * What `onAccept` said, where a listener that speaks something else first, as HTTP before a WebSocket, has asked it about this transport already; `null`: nothing
   * against it. The broker does not ask again; where it takes no transport, that listener calls `onClosed`.
   */
  readonly acceptedAs?: ReasonCode | Refusal | null | undefined
  /** The listener's places; the broker takes one for as long as the connection lasts. */
  readonly seats?: Seats | undefined
  /** What the client's certificate says; `undefined` where it showed none, and until the TLS handshake is done (so in `onAccept`). */
  readonly peerCertificate?: PeerCertificate | undefined
  /** What a trusted proxy said of the client, whose address `remoteAddress` is then; `undefined`: the client came by itself. */
  readonly proxied?: Proxied | undefined
  /** Who the client has shown to be by a key that it shares with the broker (TLS with PSK); `undefined`: it has not. */
  readonly pskIdentity?: string | undefined
  /** The user name that the transport vouches for, by a client certificate; it takes the place of CONNECT's. */
  readonly username?: string | undefined
  /** The request that the connection began with, a few kilobytes at most; the broker forgets it (`undefined`) when CONNACK is written. `undefined`: it began with none. */
  request?: TransportRequest | undefined
  /**
   * `true`: what `write` did not take at once may be changed again when `bufferedBytes` is 0, or the transport has closed, so the broker
   * uses its buffers again.
   */
  readonly returnsBuffers?: boolean | undefined
  /**
   * Writes bytes. `true`: all of them have been taken and the buffer may be used again. `false`: they belong to the
   * transport now and must not be changed, unless `returnsBuffers` says when. Either way `onDrain` follows where `bufferedBytes` is not 0.
   */
  write(bytes: Buffer): boolean
  /** Writes several buffers, in one system call where there can be one; the rest is as with `write`. */
  writeMany(buffers: readonly Buffer[]): boolean
  /** Bytes written and not yet taken by the operating system. */
  readonly bufferedBytes: number
  /** Stops reading; what has arrived already may still be handed over. */
  pause(): void
  /** Reads on after `pause`. */
  resume(): void
  /** Sends what is waiting, then closes. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

/** What the broker wants to hear of a transport. */
export interface TransportEvents {
  /** Bytes in `chunk` from `start` to `end`; they may be overwritten when the call returns. */
  onData(chunk: Buffer, start: number, end: number): void
  /** `bufferedBytes` is 0 again. */
  onDrain(): void
  /** Called once, however it ended. */
  onClose(error: Error | undefined): void
}
