import type { DeclaredCounts } from '../../../core/counter-names.ts'

/** What a plugin that listens with TLS counts; for its manifest. */
export const handshakeCounter = {
  handshakesFailed: { figure: 'tls_handshakes_failed_total', help: 'TLS handshakes that failed.' },
} satisfies DeclaredCounts['counters']

declare module '../../../core/counter-names.js' {
  interface PluginCounts {
    /** TLS handshakes that failed, and client certificates that were refused. */
    handshakesFailed: number
  }
}
