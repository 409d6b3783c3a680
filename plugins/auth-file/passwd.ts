import { chmod, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { OperatorError } from '../../core/errors.ts'
import type { CommandIo } from '../kit/command.ts'
import { isUserName, parsePasswordFile, withUser } from './password-file.ts'
import { hashPassword } from './password-hash.ts'

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
  const before = await textOf(path)
  const users = parsePasswordFile(before, path)
  const known = users.has(user)
  if (deletes) {
    if (!known) throw new OperatorError('ERR_PASSWORD_FILE', `passwd: ${file} holds no user ${user}; nothing was changed`)
    // An empty file would change nothing: that is what one looks like that is being written.
    await write(path, withUser(before, user, null) || '# no users\n')
    out(`${user} taken out of ${file}`)
    return 0
  }
  const { readPassword } = await import('./read-password.ts')
  const password = await readPassword(user)
  if (password === '') throw new OperatorError('ERR_PASSWORD_FILE', 'passwd: the password is empty; nothing was changed')
  await write(path, withUser(before, user, await hashPassword(password)))
  out(known ? `password of ${user} changed in ${file}` : `${user} put into ${file}`)
  return 0
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new OperatorError('ERR_PASSWORD_FILE', `passwd: ${path} cannot be read: ${message}; name a file that can be`, { cause })
  }
}

// Beside it first, and then in its place at once: a broker that reads meanwhile sees the old one or the new one.
async function write(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.new`
  try {
    const owner = await stat(path).catch(() => null)
    const file = await open(beside, 'wx', 0o600)
    try {
      // Root that edits it for the broker's user leaves it that user's.
      if (owner !== null && process.getuid?.() === 0) await file.chown(owner.uid, owner.gid)
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await chmod(beside, 0o600)
    await rename(beside, path)
  } catch (cause) {
    await rm(beside, { force: true })
    throw new OperatorError(
      'ERR_PASSWORD_FILE',
      `passwd: ${path} cannot be written: ${(cause as Error).message}; choose a folder that can be`,
      {
        cause,
      },
    )
  }
}
