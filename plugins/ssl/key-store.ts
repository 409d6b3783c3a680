import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import type { NamedFile } from '../kit/named-file.ts'
import type { IdentityOptions } from './identity-options.ts'

/** A PKCS12 keystore as Node takes it, opened once to see that it can be. Java's own format is refused with the line that converts it. */
export function readKeyStore(file: NamedFile, options: IdentityOptions, at: string): SecureContextOptions {
  const { option, path, bytes } = file
  const type = (options.keyStoreType ?? 'pkcs12').toLowerCase()
  if (type === 'jks' || type === 'jceks' || isJavaKeyStore(bytes)) {
    const convert = `keytool -importkeystore -srckeystore ${path} -destkeystore ${path}.p12 -deststoretype PKCS12`
    throw new OperatorError('ERR_TLS_KEYSTORE', `${option}: ${path} is a Java keystore (JKS); convert it and name the new file: ${convert}`)
  }
  if (type !== 'pkcs12' && type !== 'p12' && type !== 'pfx') {
    throw new OperatorError('ERR_TLS_KEYSTORE', `${at}.keyStoreType: ${options.keyStoreType} is not known; it is pkcs12, or leave it out`)
  }
  // An empty list, for without one Node would let every public CA vouch for clients.
  const secure: SecureContextOptions = { pfx: bytes, passphrase: options.keyStorePassword ?? '', ca: [] }
  try {
    createSecureContext(secure)
    return secure
  } catch (cause) {
    throw new OperatorError('ERR_TLS_KEYSTORE', whyUnopened(file, options, at, cause as Error), { cause })
  }
}

function isJavaKeyStore(bytes: Buffer): boolean {
  if (bytes.length < 4) return false
  const magic = bytes.readUInt32BE(0)
  return magic === 0xfeedfeed || magic === 0xcececece
}

function whyUnopened({ option, path }: NamedFile, { keyStorePassword }: IdentityOptions, at: string, cause: Error): string {
  const { message } = cause
  if (/mac verify/i.test(message)) {
    return keyStorePassword == null
      ? `${at}.keyStorePassword: required, for ${path} has one; say it`
      : `${at}.keyStorePassword: does not open ${path}; correct it`
  }
  if (/unsupported/i.test(message)) {
    const renew = `openssl pkcs12 -legacy -in ${path} -nodes | openssl pkcs12 -export -out ${path}.new`
    return `${option}: ${path} is encrypted the old way (RC2 or 3DES, as keytools before Java 9 wrote), which OpenSSL 3 does not read; write it anew: ${renew}`
  }
  if (/too small|too weak/i.test(message)) return `${option}: the key or signature in ${path} is weak (${message}); have it issued anew`
  return `${option}: ${path} is no PKCS12 keystore, or damaged (${message}); name one that openssl pkcs12 -info -in ${path} can read`
}
