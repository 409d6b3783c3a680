import type { ConnectionOptions } from './rules.ts'

const unknownCa = /^(UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|(DEPTH_ZERO_)?SELF_SIGNED_CERT(_IN_CHAIN)?)$/
const ownRefused =
  /ALERT_(CERTIFICATE_(REQUIRED|EXPIRED|REVOKED|UNKNOWN)|(BAD|UNSUPPORTED)_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)$/

/** What is wrong with TLS towards another broker before it has answered, with the cure; another error is itself. `at`: where the connection stands in the config. */
export function tlsFault(error: NodeJS.ErrnoException, { ssl }: ConnectionOptions, at: string): Error {
  const cure = cureOf(error.code ?? '', ssl.cert !== undefined, at)
  return cure === null ? error : new Error(`${error.message}; ${cure}`, { cause: error })
}

/** The same where the connection ended before CONNECT was answered: some do not say that it was for the certificate. */
export function unsaidFault(error: NodeJS.ErrnoException, options: ConnectionOptions, at: string): Error {
  const known = error.code === 'ECONNRESET' ? error : tlsFault(error, options, at)
  if (known !== error) return known
  return new Error(`${error.message}; ${options.ssl.cert === undefined ? askedFor(at) : notTaken(at)}`, { cause: error })
}

const askedFor = (at: string): string => `it may ask for a certificate: set ${at}.ssl.cert and key`
const notTaken = (at: string): string => `see whether it knows the CA of ${at}.ssl.cert, and whether that has expired`

function cureOf(code: string, showsOwn: boolean, at: string): string | null {
  if (unknownCa.test(code)) return `set ${at}.ssl.ca to the CA that its certificate is from`
  if (ownRefused.test(code)) return showsOwn ? notTaken(at) : askedFor(at)
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `reach it by a name of its certificate, or set ${at}.ssl.servername to one`
    case 'CERT_HAS_EXPIRED':
      return 'its certificate, or that of its CA, has to be renewed'
    case 'CERT_NOT_YET_VALID':
      return 'set the clocks of both machines'
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    // Before the handshake was over.
    case 'ECONNRESET':
      return `there may be no TLS at this port: see to ${at}.addresses`
    default:
      return null
  }
}
