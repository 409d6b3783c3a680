import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/** A hashed password, as the file has it. */
export interface PasswordHash {
  /** Base 2 logarithm of scrypt's cost. */
  readonly costLog: number
  /** Scrypt's block size. */
  readonly blockSize: number
  /** Scrypt's parallelization. */
  readonly parallel: number
  /** The salt, another one for each password. */
  readonly salt: Buffer
  /** What scrypt has made of the password. */
  readonly key: Buffer
}

// OWASP's smallest in memory: 16 MiB, five times over.
const costLog = 14
const blockSize = 8
const parallel = 5
const keyBytes = 32
const saltBytes = 16
// A file with more than this would be a way to stop the broker.
const memoryMax = 256 * 1024 * 1024

const form = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{22,88})\$([A-Za-z0-9+/]{43,86})$/

/** Hashes a new password, in the form of PHC strings: `$scrypt$ln=14,r=8,p=5$SALT$KEY`. */
export async function hashPassword(password: string | Buffer): Promise<string> {
  const salt = randomBytes(saltBytes)
  const key = await derive(password, { costLog, blockSize, parallel, salt, key: Buffer.alloc(keyBytes) })
  return `$scrypt$ln=${costLog},r=${blockSize},p=${parallel}$${base64(salt)}$${base64(key)}`
}

/** Reads a hash; null where it is none, or would cost too much. */
export function parseHash(text: string): PasswordHash | null {
  const match = form.exec(text)
  if (match === null) return null
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const hash = { costLog: ln, blockSize: r, parallel: p, salt: Buffer.from(match[4]!, 'base64'), key: Buffer.from(match[5]!, 'base64') }
  return ln < 10 || r < 1 || p < 1 || p > 32 || memoryOf(hash) > memoryMax ? null : hash
}

/** Whether two lines say the same of a user: the same salt and key. */
export function isSameHash(a: PasswordHash, b: PasswordHash): boolean {
  return a.key.equals(b.key) && a.salt.equals(b.salt)
}

/** A hash that no password has, as costly as a new one: what a user name is checked against that does not exist. */
export function decoyHash(): PasswordHash {
  return { costLog, blockSize, parallel, salt: randomBytes(saltBytes), key: randomBytes(keyBytes) }
}

/** Whether it is the password. Takes its time, on one of Node's threads. */
export async function isPassword(password: Buffer, hash: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, hash), hash.key)
}

function derive(password: string | Buffer, hash: PasswordHash): Promise<Buffer> {
  const options = { N: 2 ** hash.costLog, r: hash.blockSize, p: hash.parallel, maxmem: memoryOf(hash) + 1024 * 1024 }
  return new Promise((resolve, reject) => {
    scrypt(password, hash.salt, hash.key.length, options, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}

function memoryOf({ costLog: ln, blockSize: r, parallel: p }: PasswordHash): number {
  return 128 * r * (2 ** ln + p)
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
