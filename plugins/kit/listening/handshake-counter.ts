import type { DeclaredCounter } from '../../../core/counter-names.ts'

/** What a plugin that listens with TLS counts; for its manifest. */
export const handshakeCounter: HandshakeCounter = {
  handshakesFailed: { figure: 'tls_handshakes_failed_total', help: 'TLS handshakes that failed.' },
}

/** The counters of a plugin that listens with TLS: a named type, so that the declarations of its manifest refer to this file. */
export interface HandshakeCounter {
  /** TLS handshakes that failed, and client certificates that were refused. */
  readonly handshakesFailed: DeclaredCounter
}

declare module '../../../core/counter-names.js' {
  interface PluginCounts {
    /** TLS handshakes that failed, and client certificates that were refused. */
    handshakesFailed: number
  }
}
