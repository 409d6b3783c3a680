import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { OperatorError } from '../../core/errors.ts'

/** Where the secrets of an endpoint are. */
export interface SecretOptions {
  readonly secret?: string | undefined
  readonly secretFile?: string | undefined
  readonly environmentVariable?: string | undefined
}

/** The secrets of an endpoint, read anew at each call; empty: its requests are not signed. What cannot be used is an `OperatorError`. `at`: where it stands in the config. */
export async function secretsOf(options: SecretOptions, at: string, locate: (file: string) => string): Promise<readonly Buffer[]> {
  const { secret, secretFile, environmentVariable } = options
  const given = [secret, secretFile, environmentVariable].filter(one => one !== undefined)
  if (given.length > 1)
    throw new OperatorError('ERR_CONFIG', `${at}: there are several secrets; leave one of secret, secretFile and environmentVariable`)
  if (secret !== undefined) return [keyOf(secret)]
  if (environmentVariable !== undefined) {
    const value = process.env[environmentVariable]
    if (value === undefined || value === '')
      throw new OperatorError('ERR_CONFIG', `${at}.environmentVariable: there is no ${environmentVariable} in the environment; set it`)
    return [keyOf(value)]
  }
  if (secretFile === undefined) return []
  const path = locate(secretFile)
  try {
    const lines = (await readFile(path, 'utf8')).split(/\r?\n/).filter(line => line !== '')
    if (lines.length === 0) throw new Error('it is empty')
    return lines.map(keyOf)
  } catch (cause) {
    const why = (cause as Error).message
    throw new OperatorError('ERR_CONFIG', `${at}.secretFile: ${path} cannot be used: ${why}; write the secret into it`, { cause })
  }
}

const prefix = 'whsec_'

function keyOf(secret: string): Buffer {
  return secret.startsWith(prefix) ? Buffer.from(secret.slice(prefix.length), 'base64') : Buffer.from(secret)
}

/** The header `webhook-signature` of Standard Webhooks: one signature for each secret, over id, time (seconds since the Unix epoch) and body. */
export function signatureOf(secrets: readonly Buffer[], id: string, timestamp: number, body: Buffer): string {
  const head = `${id}.${timestamp}.`
  return secrets.map(key => `v1,${createHmac('sha256', key).update(head).update(body).digest('base64')}`).join(' ')
}
