import { OperatorError } from '../../core/errors.ts'
import { type PasswordHash, parseHash } from '../kit/password-hash.ts'

/** The users of a password file, by name. A line that is not understood is an error: nobody is let in, or kept out, by a typo. */
export function parsePasswordFile(text: string, path: string): Map<string, PasswordHash> {
  const users = new Map<string, PasswordHash>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (isNoUser(line)) continue
    const at = `authFile.path: ${path}:${index + 1}`
    const user = userOf(line)
    const hash = parseHash(line.slice(line.lastIndexOf(':') + 1))
    const cure = `write it anew: npx mqttx-broker passwd ${path} USER`
    if (user === null || hash === null) throw new OperatorError('ERR_PASSWORD_FILE', `${at}: not a line USER:$scrypt$…; ${cure}`)
    if (users.has(user))
      throw new OperatorError('ERR_PASSWORD_FILE', `${at}: user ${JSON.stringify(user)} stands there twice; take one out`)
    users.set(user, hash)
  }
  return users
}

/** The file's text with one user's line put in, replaced, or (`hash` null) taken out. Whatever else it holds stays as it is. */
export function withUser(text: string, user: string, hash: string | null): string {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const at = lines.findIndex(line => !isNoUser(line) && userOf(line) === user)
  if (hash === null) {
    if (at !== -1) lines.splice(at, 1)
  } else {
    lines.splice(at === -1 ? lines.length : at, at === -1 ? 0 : 1, `${user}:${hash}`)
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

/** Whether a file of lines can hold this name. */
export function isUserName(name: string): boolean {
  return name !== '' && !name.startsWith('#') && !/[\p{Cc}\p{Surrogate}]/u.test(name) && name.trim() === name
}

function isNoUser(line: string): boolean {
  return line.trim() === '' || line.startsWith('#')
}

// A hash holds no colon, so a name may.
function userOf(line: string): string | null {
  const end = line.lastIndexOf(':')
  const name = line.slice(0, Math.max(end, 0))
  return isUserName(name) ? name : null
}
