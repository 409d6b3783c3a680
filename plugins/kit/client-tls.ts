import { readFileSync } from 'node:fs'
import { OperatorError } from '../../core/errors.ts'

/** TLS towards a server that a plugin connects to: files in PEM. */
export interface ClientTlsOptions {
  /** CAs that are believed, in PEM: a path or the text. Default: those that Node believes. */
  readonly ca?: string
  /** The own certificate, in PEM. Default: none is shown. */
  readonly cert?: string
  /** The private key of `cert`. */
  readonly key?: string
  /** The name that the certificate of the other side has to be for. Default: the host. */
  readonly servername?: string
}

/** Those options as Node's TLS takes them. `at`: where they stand in the config, for errors: `redis.tls`. `locate`: what makes a path of what a file is called there. */
export function clientTls(at: string, options: ClientTlsOptions, locate: (file: string) => string = file => file) {
  const read = (name: 'ca' | 'cert' | 'key') => {
    const file = options[name]
    return file === undefined ? {} : { [name]: readConfigured(`${at}.${name}`, locate(file)) }
  }
  const { servername } = options
  return { ...read('ca'), ...read('cert'), ...read('key'), ...(servername === undefined ? {} : { servername }) }
}

/** A file that an option names; what cannot be read is the operator's to put right. */
export function readConfigured(option: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `${option}: ${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
