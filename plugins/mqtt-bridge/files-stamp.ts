import { createHash } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { OperatorError } from '../../core/errors.ts'
import { clientTls } from '../kit/client-tls.ts'
import { passwordOf } from './password.ts'
import type { ConnectionOptions } from './rules.ts'

/** What the files say that a connection is opened by, as a hash. Throws an `OperatorError` where one of them cannot be read or used. */
export function filesStamp(options: ConnectionOptions, at: string, locate: (file: string) => string): string {
  const { ssl } = options
  const files = clientTls(`${at}.ssl`, ssl, locate) as { ca?: Buffer; cert?: Buffer; key?: Buffer }
  try {
    createSecureContext(files)
  } catch (cause) {
    const named = (['ca', 'cert', 'key'] as const).filter(name => ssl[name] !== undefined).map(name => `${at}.ssl.${name}`)
    const why = (cause as Error).message
    throw new OperatorError(
      'ERR_CONFIG',
      `${named.join(', ')}: TLS cannot use what they name: ${why}; they are PEM, and cert and key go together`,
      {
        cause,
      },
    )
  }
  const hash = createHash('sha256')
  for (const part of [files.ca, files.cert, files.key, passwordOf(options, at, locate)]) hash.update(part ?? '').update('\0')
  return hash.digest('base64')
}
