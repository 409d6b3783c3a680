import { readFileSync } from 'node:fs'
import { OperatorError } from '../../core/errors.ts'
import type { ConnectionOptions } from './rules.ts'

/** The password of a connection, read anew at each call; `undefined`: none. What cannot be read is an `OperatorError`. */
export function passwordOf(options: ConnectionOptions, at: string, locate: (file: string) => string): Buffer | undefined {
  const { password, passwordFile, environmentVariable } = options
  const given = [password, passwordFile, environmentVariable].filter(one => one !== undefined)
  if (given.length > 1)
    throw new OperatorError('ERR_CONFIG', `${at}: there are several passwords; leave one of password, passwordFile and environmentVariable`)
  if (environmentVariable !== undefined) {
    const value = process.env[environmentVariable]
    if (value === undefined || value === '')
      throw new OperatorError('ERR_CONFIG', `${at}.environmentVariable: there is no ${environmentVariable} in the environment; set it`)
    return Buffer.from(value)
  }
  if (passwordFile === undefined) return password === undefined ? undefined : Buffer.from(password)
  const path = locate(passwordFile)
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
    if (text === '') throw new Error('it is empty')
    return Buffer.from(text)
  } catch (cause) {
    const why = (cause as Error).message
    throw new OperatorError('ERR_CONFIG', `${at}.passwordFile: ${path} cannot be used: ${why}; write the password into it`, { cause })
  }
}
