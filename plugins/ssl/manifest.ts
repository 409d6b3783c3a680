import { defineManifest } from '../kit/define-manifest.ts'
import { sslOptions } from '../kit/listening/tls-options.ts'

export const sslManifest = defineManifest({
  name: 'ssl',
  provides: ['tls'],
  options: sslOptions,
})

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A certificate file cannot be read, or is none. */
    ERR_TLS_FILE: true
    /** The private key cannot be read, or its password is missing or wrong. */
    ERR_TLS_KEY: true
    /** The PKCS12 file cannot be opened, or is a Java keystore. */
    ERR_TLS_KEYSTORE: true
    /** Key and certificate do not belong together. */
    ERR_TLS_MISMATCH: true
    /** The certificate has expired. */
    ERR_TLS_EXPIRED: true
    /** The certificate is not valid yet. */
    ERR_TLS_NOT_YET_VALID: true
    /** The key or the signature of a certificate is too weak for OpenSSL. */
    ERR_TLS_WEAK: true
    /** None of the named ciphers is known. */
    ERR_TLS_CIPHERS: true
    /** Client certificates are asked for, and no CA is named that could vouch for them. */
    ERR_TLS_CLIENT_AUTH: true
    /** The file of revoked certificates is none, or only a part of one. */
    ERR_TLS_CRL: true
    /** The file of shared keys has a line that is none. */
    ERR_TLS_PSK: true
    /** OpenSSL refuses a certificate, for a reason that it gives. */
    ERR_TLS: true
  }
}
