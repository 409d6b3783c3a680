import { OperatorError } from '../../core/errors.ts'
import { type PasswordHash, parseHash } from '../kit/password-hash.ts'
import type { Role } from '../kit/verbs/define-verb.ts'

/** Whose token it is, what it lets do, and what it is checked by. */
export interface TokenEntry {
  readonly name: string
  readonly role: Role
  readonly hash: PasswordHash
}

export const roleNames: readonly Role[] = ['read', 'operate', 'admin']

/** The tokens of a file, by name: a line `NAME:ROLE:HASH` each. A line that is not understood is an error: nobody is let in, or kept out, by a typo. */
export function parseTokens(text: string, path: string): Map<string, TokenEntry> {
  const found = new Map<string, TokenEntry>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [name = '', role = '', ...rest] = line.split(':')
    const hash = parseHash(rest.join(':'))
    const at = `admin.http.tokens: ${path}:${index + 1}`
    if (!isTokenName(name) || !isRole(role) || hash === null)
      throw new OperatorError(
        'ERR_TOKEN_FILE',
        `${at}: not a line NAME:ROLE:$scrypt$…; write it anew: npx mqttx-broker token ${path} NAME --role read`,
      )
    if (found.has(name)) throw new OperatorError('ERR_TOKEN_FILE', `${at}: ${name} stands there twice; take one out`)
    found.set(name, { name, role, hash })
  }
  return found
}

/** The file's text with one token's line put in, replaced, or (`line` null) taken out. */
export function withToken(text: string, name: string, line: string | null): string {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const at = lines.findIndex(one => one.startsWith(`${name}:`))
  if (line === null) {
    if (at !== -1) lines.splice(at, 1)
  } else lines.splice(at === -1 ? lines.length : at, at === -1 ? 0 : 1, line)
  return lines.length === 0 ? '# no tokens\n' : `${lines.join('\n')}\n`
}

export function isTokenName(name: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(name)
}

export function isRole(text: string): text is Role {
  return (roleNames as readonly string[]).includes(text)
}
