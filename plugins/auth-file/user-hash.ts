import { decoyHash, isPassword, isSameHash, type PasswordHash, parseHash } from '../kit/password-hash.ts'
import { isMosquittoPassword, type MosquittoHash, parseMosquittoHash } from './mosquitto-hash.ts'

/** A hashed password as a file has it: by scrypt, or by `mosquitto_passwd`. */
export type UserHash = PasswordHash | MosquittoHash

/** Reads a hash of any kind; null where it is none, or would cost too much. */
export function parseUserHash(text: string): UserHash | null {
  return parseHash(text) ?? parseMosquittoHash(text)
}

/** Whether it is the password. */
export function isUserPassword(password: Buffer, hash: UserHash): Promise<boolean> {
  return 'iterations' in hash ? isMosquittoPassword(password, hash) : isPassword(password, hash)
}

/** Whether two lines say the same of a user. */
export function isSameUserHash(a: UserHash, b: UserHash): boolean {
  if ('iterations' in a || 'iterations' in b)
    return 'iterations' in a && 'iterations' in b && a.iterations === b.iterations && a.key.equals(b.key) && a.salt.equals(b.salt)
  return isSameHash(a, b)
}

/** A hash that no password has, and that takes as long to check as another: what a user name is checked against that does not exist. */
export function decoyLike(hash: UserHash | undefined, random: (bytes: number) => Buffer): UserHash {
  if (hash === undefined || !('iterations' in hash)) return decoyHash()
  return { ...hash, key: random(hash.key.length) }
}
