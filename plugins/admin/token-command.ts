import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { CommandIo } from '../kit/command.ts'
import { hashPassword } from '../kit/password-hash.ts'
import { textOf, writeSecret } from '../kit/secret-file.ts'
import { isRole, isTokenName, parseTokens, roleNames, withToken } from './token-file.ts'

const usage = 'npx mqttx-broker token FILE NAME --role read|operate|admin, or --delete in place of --role'
const secretBytes = 32

/** `token FILE NAME --role ROLE`: makes a token, or makes it anew, and prints it this once; `--delete` takes it out. The file holds only what it is checked by. */
export async function token(args: readonly string[], { folder, out }: CommandIo): Promise<number> {
  const { role, deletes, words } = readArguments(args)
  const [file, name, ...more] = words
  if (file === undefined || name === undefined || more.length > 0 || (role === undefined) === !deletes)
    throw new OperatorError('ERR_ARGUMENTS', `token: ${usage}`)
  if (!isTokenName(name))
    throw new OperatorError('ERR_ARGUMENTS', `token: ${JSON.stringify(name)} cannot be a name; it has letters, digits, - and _`)
  const path = resolve(folder, file)
  const before = await textOf(path, 'token', 'ERR_TOKEN_FILE')
  const known = parseTokens(before, path).has(name)
  if (deletes) {
    if (!known) throw new OperatorError('ERR_TOKEN_FILE', `token: ${file} holds no ${name}; nothing was changed`)
    await writeSecret(path, withToken(before, name, null), 'token', 'ERR_TOKEN_FILE')
    out(`${name} taken out of ${file}`)
    return 0
  }
  const secret = randomBytes(secretBytes).toString('base64url')
  await writeSecret(path, withToken(before, name, `${name}:${role}:${await hashPassword(secret)}`), 'token', 'ERR_TOKEN_FILE')
  // Alone on its line, so that a script can take it.
  out(`${name}.${secret}`)
  return 0
}

function readArguments(args: readonly string[]): { role: string | undefined; deletes: boolean; words: string[] } {
  const words: string[] = []
  let role: string | undefined
  let deletes = false
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (word === '--delete') deletes = true
    else if (word === '--role') role = args[++i] ?? ''
    else if (word.startsWith('--role=')) role = word.slice('--role='.length)
    else if (word.startsWith('--')) throw new OperatorError('ERR_ARGUMENTS', `token: ${word} is no option; ${usage}`)
    else words.push(word)
  }
  if (role !== undefined && !isRole(role)) throw new OperatorError('ERR_ARGUMENTS', `token: --role is one of ${roleNames.join(', ')}`)
  return { role, deletes, words }
}
