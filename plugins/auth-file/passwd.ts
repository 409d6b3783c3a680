import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { CommandIo } from '../kit/command.ts'
import { hashPassword } from '../kit/password-hash.ts'
import { textOf, writeSecret } from '../kit/secret-file.ts'
import { isUserName, parsePasswordFile, withUser } from './password-file.ts'

const usage = 'npx mqttx-broker passwd [--delete] FILE USER'

/** `passwd FILE USER`: adds a user, or changes its password; `--delete` takes it out. The password comes from the terminal, unseen, or from standard input. */
export async function passwd(args: readonly string[], { folder, out }: CommandIo): Promise<number> {
  const deletes = args.includes('--delete')
  const [file, user, ...more] = args.filter(argument => argument !== '--delete')
  if (file === undefined || user === undefined || more.length > 0 || file.startsWith('--')) {
    throw new OperatorError('ERR_ARGUMENTS', `passwd: ${usage}; the password is asked for, or read from standard input`)
  }
  if (!isUserName(user)) {
    throw new OperatorError(
      'ERR_ARGUMENTS',
      `passwd: ${JSON.stringify(user)} cannot be a user name; no line breaks, no # at its beginning, no blanks around it`,
    )
  }
  const path = resolve(folder, file)
  const before = await textOf(path, 'passwd', 'ERR_PASSWORD_FILE')
  const users = parsePasswordFile(before, path)
  const known = users.has(user)
  if (deletes) {
    if (!known) throw new OperatorError('ERR_PASSWORD_FILE', `passwd: ${file} holds no user ${user}; nothing was changed`)
    // An empty file would change nothing: that is what one looks like that is being written.
    await writeSecret(path, withUser(before, user, null) || '# no users\n', 'passwd', 'ERR_PASSWORD_FILE')
    out(`${user} taken out of ${file}`)
    return 0
  }
  const { readPassword } = await import('./read-password.ts')
  const password = await readPassword(user)
  if (password === '') throw new OperatorError('ERR_PASSWORD_FILE', 'passwd: the password is empty; nothing was changed')
  await writeSecret(path, withUser(before, user, await hashPassword(password)), 'passwd', 'ERR_PASSWORD_FILE')
  out(known ? `password of ${user} changed in ${file}` : `${user} put into ${file}`)
  return 0
}
