import type { SecureContextOptions, TlsOptions as ServerOptions, TLSSocket } from 'node:tls'
import type { PeerCertificate } from '../../../core/connection/transport.ts'
import type { TlsOptions } from '../listening/tls-options.ts'

/** A server that takes what was renewed: `tls.Server`, `https.Server`. */
export interface RenewableServer {
  /** Takes other certificates, for connections from now on. */
  setSecureContext(options: SecureContextOptions): void
}

/** Who has shaken hands. */
export interface Judged {
  /** What the client's certificate says. */
  readonly certificate?: PeerCertificate | undefined
  /** Why the client must not come in. */
  readonly refused?: string | undefined
  /** Who the client has shown to be by a shared key. */
  readonly pskIdentity?: string | undefined
  /** The user name that the shared key stands for; `undefined` where CONNECT says it. */
  readonly username?: string | undefined
}

/** The certificates that a listener serves, and what it makes of its clients' certificates. */
export interface ServerCertificates {
  /** What a server is made with. Give the server to `serve` then. */
  serverOptions(): ServerOptions
  /** From here on the server gets what is renewed. */
  serve(server: RenewableServer): void
  /**
   * What the certificate of a client says, once its handshake is done; nothing where it showed none and need not. `refused`: why it
   * must not come in. `pskIdentity`: who it has shown to be by a shared key, and `username`, the user name that this stands for.
   */
  judge(socket: TLSSocket): Judged
  /** The user name that a certificate stands for; `undefined` where CONNECT says it. */
  usernameOf(certificate: PeerCertificate): string | undefined
}

/** Certificates that one listener has for itself: the listener verifies, starts, rereads and stops them. */
export interface OwnCertificates extends ServerCertificates {
  /** Reads and checks all files. Rejects with an `OperatorError` that names the cure. */
  verify(): Promise<void>
  /** Begins to watch the files, which are read and checked first where `verify` has not done so. */
  start(): Promise<void>
  /** Reads the files again. What is wrong with them is logged, and what was read before stays. */
  reread(): Promise<void>
  /** Watches the files no more. */
  stop(): void
}

/** The `tls` service: certificates for listeners. `ssl` owns it. */
export interface TlsService {
  /** The certificates of the section `ssl`, for every listener that does not say otherwise; `null` where there is no such section. */
  readonly shared: ServerCertificates | null
  /** Certificates for one listener alone, as its option `tls` names them. `at`: where these options stand, `socket[1].tls`. */
  own(options: TlsOptions, at: string): OwnCertificates
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** Certificates for listeners: `ssl` owns it. */
    tls: TlsService
  }
}
