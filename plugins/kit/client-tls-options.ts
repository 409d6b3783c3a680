import type { OptionsSchema } from '../../core/options/options.ts'

/** TLS towards a server that a plugin connects to: the `properties` of such an option. Files are PEM, relative to the config's folder. */
const clientTls = {
  /** Turns it on. */
  enable: { type: 'boolean', default: false },
  /** The authorities that the other side's certificate is judged by; the system's where nothing is said. */
  ca: { type: 'string', minLength: 1 },
  /** The broker's own certificate, where the other side asks for one. */
  cert: { type: 'string', minLength: 1 },
  /** The private key of that certificate. */
  key: { type: 'string', minLength: 1, secretFile: true },
  /** The name that the other side's certificate must bear; that of its address where nothing is said. */
  servername: { type: 'string', minLength: 1 },
} as const satisfies OptionsSchema

/** How they are declared. */
export type ClientTlsSchema = { readonly [K in keyof typeof clientTls]: (typeof clientTls)[K] }
/** TLS towards a server that a plugin connects to: the `properties` of such an option. */
export const clientTlsOptions: ClientTlsSchema = clientTls
