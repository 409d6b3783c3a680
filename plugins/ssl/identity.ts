import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { Duplex } from 'node:stream'
import { createSecureContext, type SecureContext, type SecureContextOptions, TLSSocket } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import type { NamedFile } from '../kit/named-file.ts'
import { checkCertificate } from './check-certificate.ts'
import type { IdentityOptions } from './identity-options.ts'
import { readKeyStore } from './key-store.ts'
import { subjectOf } from './peer-certificate.ts'
import { certificatesIn, readPem } from './pem-files.ts'

/** A certificate and its key, read and found good. */
export interface Identity {
  readonly certificate: X509Certificate
  /** What Node is to be told of it. */
  readonly secure: SecureContextOptions
  readonly files: readonly NamedFile[]
  /** The keystore holds its CA too, which may then vouch for clients. */
  readonly hasCa: boolean
}

/** Reads and checks one certificate with its key. `at` is the section or the list's element: `ssl`, `ssl.certificates[0]`. */
export async function readIdentity(options: IdentityOptions, at: string, folder: string): Promise<Identity> {
  const { cert, key, keyStoreLocation } = options
  if (keyStoreLocation != null) {
    if (cert != null || key != null) throw new OperatorError('ERR_TLS_OPTIONS', `${at}: give keyStoreLocation, or cert and key, not both`)
    return fromKeyStore(options, keyStoreLocation, at, folder)
  }
  if (cert == null && key == null) {
    const cure = 'say cert and key, or keyStoreLocation; npx mqttx-broker init --tls makes certificates for testing'
    throw new OperatorError('ERR_TLS_OPTIONS', `${at}: no certificate is named; ${cure}`)
  }
  if (cert == null) throw new OperatorError('ERR_TLS_OPTIONS', `${at}.cert: required beside ${at}.key; name the certificate's file`)
  if (key == null) throw new OperatorError('ERR_TLS_OPTIONS', `${at}.key: required beside ${at}.cert; name the private key's file`)
  return fromPem(options, cert, key, at, folder)
}

async function fromPem({ passphrase }: IdentityOptions, cert: string, key: string, at: string, folder: string): Promise<Identity> {
  // One after the other: where both are missing, always the same one is named.
  const certFile = await readPem(`${at}.cert`, cert, folder)
  const keyFile = await readPem(`${at}.key`, key, folder)
  const certificate = firstCertificate(certFile)
  const privateKey = readKey(keyFile, passphrase ?? undefined, at)
  if (!certificate.checkPrivateKey(privateKey)) throw mismatch(certFile, keyFile, privateKey)
  checkCertificate(certificate, certFile.option, certFile.path)
  // The key as it was opened: whoever makes contexts of it needs no password any more.
  const secure = { cert: certFile.bytes, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }
  return { certificate, secure, files: [certFile, keyFile], hasCa: false }
}

function firstCertificate({ option, path, bytes }: NamedFile): X509Certificate {
  const [first] = certificatesIn(bytes)
  if (first === undefined) {
    const isDer = bytes[0] === 0x30
    const cure = isDer
      ? `convert it: openssl x509 -inform der -in ${path} -out ${path}.pem`
      : 'name the file that begins with BEGIN CERTIFICATE'
    throw new OperatorError('ERR_TLS_FILE', `${option}: ${path} holds no certificate in PEM; ${cure}`)
  }
  return parseCertificate(first, option, path)
}

/** One certificate of a PEM file. */
export function parseCertificate(pem: string, option: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new OperatorError('ERR_TLS_FILE', `${option}: a certificate in ${path} is damaged; get the file anew`, { cause })
  }
}

function readKey({ option, path, bytes }: NamedFile, passphrase: string | undefined, at: string): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? bytes : { key: bytes, passphrase })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_MISSING_PASSPHRASE' || (passphrase === undefined && bytes.includes('ENCRYPTED'))) {
      throw new OperatorError('ERR_TLS_KEY', `${at}.passphrase: required, for the key in ${path} is encrypted; say its password`, { cause })
    }
    if (passphrase !== undefined && /decrypt|mac|padding|unsupported/i.test(message) && bytes.includes('ENCRYPTED')) {
      throw new OperatorError('ERR_TLS_KEY', `${at}.passphrase: does not open the key in ${path}; correct it`, { cause })
    }
    throw new OperatorError(
      'ERR_TLS_KEY',
      `${option}: ${path} holds no private key in PEM; name the file that begins with BEGIN PRIVATE KEY`,
      {
        cause,
      },
    )
  }
}

function mismatch(certFile: NamedFile, keyFile: NamedFile, key: KeyObject): OperatorError {
  const fitting = certificatesIn(certFile.bytes).findIndex(pem =>
    parseCertificate(pem, certFile.option, certFile.path).checkPrivateKey(key),
  )
  const cure =
    fitting > 0
      ? `it fits the ${fitting + 1}. certificate in ${certFile.path}: put that one first`
      : `name the key that ${certFile.path} was made with`
  return new OperatorError('ERR_TLS_MISMATCH', `${keyFile.option}: the key in ${keyFile.path} does not fit the certificate; ${cure}`)
}

async function fromKeyStore(options: IdentityOptions, location: string, at: string, folder: string): Promise<Identity> {
  const file = await readPem(`${at}.keyStoreLocation`, location, folder)
  const secure = readKeyStore(file, options, at)
  const context = createSecureContext(secure)
  const certificate = certificateOf(context)
  if (certificate === undefined) {
    const cure = 'put both into it: openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out KEYSTORE'
    throw new OperatorError('ERR_TLS_KEYSTORE', `${file.option}: ${file.path} holds no certificate with its key; ${cure}`)
  }
  checkCertificate(certificate, file.option, file.path)
  return { certificate, secure, files: [file], hasCa: hasCa(context) }
}

// What lies in a keystore is only told by the connection that would use it.
function certificateOf(secureContext: SecureContext): X509Certificate | undefined {
  const socket = new TLSSocket(
    new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        done()
      },
    }) as never,
    { isServer: true, secureContext },
  )
  socket.on('error', () => {})
  try {
    return socket.getX509Certificate()
  } finally {
    socket.destroy()
  }
}

// Not documented; where this Node has it no more nothing is said at start, and clients are refused one by one.
function hasCa({ context }: SecureContext): boolean {
  const { getIssuer } = context as { getIssuer?: () => Buffer | null }
  return typeof getIssuer !== 'function' || getIssuer.call(context) !== null
}

/** How a certificate is called in the log. */
export function nameOf({ certificate }: Identity): string {
  return subjectOf(certificate)
}
