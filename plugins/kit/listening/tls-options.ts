import { defineOptions, type OptionsInput, type OptionsOf } from '../../../core/options/options.ts'

/** TLS for every listener that does not say otherwise: `ssl`, and what a listener's own `tls: { … }` takes. Files are relative to the config's folder. */
const ssl = defineOptions({
  /** The certificate in PEM, followed by those between it and its CA. */
  cert: { type: 'string', default: null, minLength: 1 },
  /** The certificate's private key in PEM. */
  key: { type: 'string', default: null, minLength: 1, secretFile: true },
  /** The password of an encrypted `key`. */
  passphrase: { type: 'string', default: null },
  /** A PKCS12 keystore with certificate and key, in place of `cert` and `key`. `classpath:` is the config's folder. */
  keyStoreLocation: { type: 'string', default: null, minLength: 1, secretFile: true },
  /** The keystore's password. */
  keyStorePassword: { type: 'string', default: null },
  /** The keystore's kind: `pkcs12`, in any case. */
  keyStoreType: { type: 'string', default: 'pkcs12' },
  /** Further certificates: a client that names a host gets the one for it, any other the first of all. */
  certificates: {
    type: 'list',
    default: [],
    items: {
      type: 'object',
      properties: {
        /** The host names it is for, `*.example.com` too. Those in the certificate where nothing is said. */
        names: { type: 'list', items: { type: 'string', minLength: 1 } },
        /** As above. */
        cert: { type: 'string', minLength: 1 },
        /** As above. */
        key: { type: 'string', minLength: 1, secretFile: true },
        /** As above. */
        passphrase: { type: 'string' },
        /** As above. */
        keyStoreLocation: { type: 'string', minLength: 1, secretFile: true },
        /** As above. */
        keyStorePassword: { type: 'string' },
        /** As above. */
        keyStoreType: { type: 'string' },
      },
    },
  },
  /** Asks clients for a certificate: `true` refuses who shows none, `'optional'` does not. One that is shown is always checked. */
  clientAuth: { oneOf: [{ type: 'boolean' }, { type: 'string', enum: ['optional'] }], default: false },
  /** The CAs in PEM that may have issued clients' certificates: a file, or a folder of files that end in .pem or .crt. Where nothing is said, those in the keystore. */
  ca: { type: 'string', default: null, minLength: 1 },
  /** Certificates that are not accepted any more: revocation lists in PEM, one for each CA. Read again when the file has changed and two looks have seen the same; connected clients with such a certificate are closed (MQTT 5: 0x87). */
  crl: { type: 'string', default: null, minLength: 1 },
  /** Keys that clients share with the broker, in place of certificates or beside them: a file of lines `IDENTITY:KEY`, the key in hexadecimal digits. TLS 1.2 only, without resumption. Read again when the file has changed; connected clients whose key is not in it any more are closed. */
  pskFile: { type: 'string', default: null, minLength: 1, secretFile: true },
  /** What clients are told, so that they know which identity to name. */
  pskHint: { type: 'string', default: null, minLength: 1, maxLength: 128 },
  /** Takes the user name from the client's certificate, whatever CONNECT says: its common name, or its whole subject (`CN=meter-7,O=Example`); of a client with a shared key, its identity. */
  usernameFrom: { type: 'string', enum: ['connect', 'commonName', 'subject'], default: 'connect' },
  /** The oldest version of TLS that is spoken. */
  minVersion: { type: 'string', enum: ['TLSv1.2', 'TLSv1.3'], default: 'TLSv1.2' },
  /** The ciphers, in OpenSSL's words, best first. Node's own list where nothing is said. */
  ciphers: { type: 'string', default: null, minLength: 1 },
  /** How long a client may resume a session without the whole handshake. `0s` switches resumption off. */
  sessionTimeout: { type: 'duration', default: '5m', maximum: '7d' },
  /** How often the files are looked at, and taken up where they have changed. `null` leaves it to SIGHUP. */
  checkFilesEvery: { type: 'duration', default: '10s', minimum: '1s', nullable: true },
})

// Declarations of what contains it name it, where they would lose the texts above the options if they repeated it.
/** How the options of `ssl` are declared. */
export type SslSchema = { readonly [K in keyof typeof ssl]: (typeof ssl)[K] }
/** The options of `ssl`, and of a listener's own `tls`. */
export const sslOptions: SslSchema = ssl

/** What `ssl`, or a listener's own `tls`, says: complete. */
export type TlsOptions = OptionsOf<typeof sslOptions>

/** The same as a user writes it. */
export type TlsInput = OptionsInput<typeof sslOptions>

/** What a listener's option `tls` may be: as `ssl` says, on, off, or its own. */
export type ListenerTlsOption = boolean | Readonly<TlsInput> | null

/** The services that a listener cannot do without, by its options: certificates of its own must be read by somebody. */
export function listenerNeeds(options: { readonly tls?: ListenerTlsOption }): readonly string[] {
  return typeof options.tls === 'object' && options.tls !== null ? ['tls'] : []
}

declare module '../../../core/error-codes.js' {
  interface ErrorCodes {
    /** Options of TLS are missing or contradict each other. */
    ERR_TLS_OPTIONS: true
  }
}
