import { createHash, pbkdf2, timingSafeEqual } from 'node:crypto'

/** A password as `mosquitto_passwd` has hashed it. */
export interface MosquittoHash {
  /** Rounds of PBKDF2 with SHA-512, `$7$`; 0: SHA-512 once over password and salt, `$6$`. */
  readonly iterations: number
  /** The salt, another one for each password. */
  readonly salt: Buffer
  /** What has become of the password. */
  readonly key: Buffer
}

const keyBytes = 64
// mosquitto_passwd makes 101 rounds; so many take some seconds.
const iterationsMax = 5_000_000
const form = /^\$(?:6|7\$(\d{1,7}))\$([A-Za-z0-9+/]{2,88}={0,2})\$([A-Za-z0-9+/]{86}==)$/

/** Reads a hash of mosquitto's; null where it is none, or would cost too much. */
export function parseMosquittoHash(text: string): MosquittoHash | null {
  const [, rounds, salt, key] = form.exec(text) ?? []
  if (salt === undefined || key === undefined) return null
  const iterations = rounds === undefined ? 0 : Number(rounds)
  if (rounds !== undefined && (iterations < 1 || iterations > iterationsMax)) return null
  return { iterations, salt: Buffer.from(salt, 'base64'), key: Buffer.from(key, 'base64') }
}

/** Whether it is the password. */
export async function isMosquittoPassword(password: Buffer, { iterations, salt, key }: MosquittoHash): Promise<boolean> {
  const made = iterations === 0 ? createHash('sha512').update(password).update(salt).digest() : await derive(password, salt, iterations)
  return timingSafeEqual(made, key)
}

function derive(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, keyBytes, 'sha512', (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}
