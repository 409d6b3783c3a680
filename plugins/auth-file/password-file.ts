import { OperatorError } from '../../core/errors.ts'
import { parseUserHash, type UserHash } from './user-hash.ts'

/**
 * The users of a password file, by name. A line that is not understood is an error, so that nobody is let in, or kept out, by a typo; or it is handed to `skip`, where the
 * operator wants that.
 */
export function parsePasswordFile(
  text: string,
  path: string,
  { option = 'authFile.path', skip }: { readonly option?: string; readonly skip?: ((problem: string) => void) | undefined } = {},
): Map<string, UserHash> {
  const wrong = (problem: string): void => {
    if (skip === undefined) throw new OperatorError('ERR_PASSWORD_FILE', problem)
    skip(problem)
  }
  const users = new Map<string, UserHash>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (isNoUser(line)) continue
    const at = `${option}: ${path}:${index + 1}`
    const user = userOf(line)
    const hash = parseUserHash(line.slice(line.lastIndexOf(':') + 1))
    const cure = `write it anew: npx mqttx-broker passwd ${path} USER`
    if (user === null || hash === null)
      wrong(`${at}: not a line USER:$scrypt$…, nor one of mosquitto_passwd (USER:$6$… or USER:$7$…); ${cure}`)
    else if (users.has(user)) wrong(`${at}: user ${JSON.stringify(user)} stands there twice; take one out`)
    else users.set(user, hash)
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
