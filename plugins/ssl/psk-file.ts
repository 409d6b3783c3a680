import { DEFAULT_CIPHERS } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'

/** Keys that clients share with the broker, by the identity that they name. */
export type SharedKeys = ReadonlyMap<string, Buffer>

// OpenSSL takes no longer ones.
const identityBytesMax = 128
const keyBytesMax = 256

/** What is agreed on with a shared key, best first: those with ephemeral keys, whose past cannot be read by whoever learns the key. */
const pskCiphers = [
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES256-CBC-SHA384',
  'ECDHE-PSK-AES128-CBC-SHA256',
  'DHE-PSK-AES256-GCM-SHA384',
  'PSK-CHACHA20-POLY1305',
  'PSK-AES256-GCM-SHA384',
  'PSK-AES128-GCM-SHA256',
  'PSK-AES256-CBC-SHA',
  'PSK-AES128-CBC-SHA256',
  'PSK-AES128-CBC-SHA',
].join(':')

/** The ciphers of a listener that knows shared keys; with Node's own where it has a certificate too. */
export function ciphersFor(hasCertificate: boolean): string {
  return hasCertificate ? `${pskCiphers}:${DEFAULT_CIPHERS.replace(/:?!PSK/g, '')}` : pskCiphers
}

/** Reads a file of lines `IDENTITY:KEY`, the key in hexadecimal digits, as mosquitto's `psk_file` has them. No message holds anything of a key. */
export function parsePskFile(text: string, option: string, path: string): SharedKeys {
  const keys = new Map<string, Buffer>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const end = line.lastIndexOf(':')
    const identity = line.slice(0, Math.max(end, 0))
    const key = line.slice(end + 1).trim()
    const isKey = /^([0-9a-f]{2})+$/i.test(key) && key.length <= keyBytesMax * 2
    const isIdentity = identity !== '' && Buffer.byteLength(identity) <= identityBytesMax && !/\p{Cc}/u.test(identity)
    if (!isKey || !isIdentity) {
      const text = `${option}: ${path}:${index + 1}: not a line IDENTITY:KEY with the key in hexadecimal digits; correct it`
      throw new OperatorError('ERR_TLS_PSK', text)
    }
    if (keys.has(identity)) {
      throw new OperatorError(
        'ERR_TLS_PSK',
        `${option}: ${path}:${index + 1}: ${JSON.stringify(identity)} stands there twice; take one out`,
      )
    }
    keys.set(identity, Buffer.from(key, 'hex'))
  }
  return keys
}
