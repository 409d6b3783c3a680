import { createHmac, timingSafeEqual } from 'node:crypto'
import type { PluginContext } from '../../core/context.ts'
import { WatchedFile } from '../kit/watched-file.ts'
import { parsePasswordFile } from './password-file.ts'
import { decoyLike, isSameUserHash, type UserHash } from './user-hash.ts'

/** Which file, and what happens when it has changed. */
export interface UsersOptions {
  /** Where it is named: `authFile.path`. */
  readonly option: string
  readonly path: string
  readonly everyMs: number | null
  /** A line that is none is passed over. */
  readonly skipsBadLines: boolean
  /** A user is not in the file any more (`gone`), or has another password. Returns how many connections were closed. */
  changed(user: string, gone: boolean): number
}

/** The users of one file, as it is now. */
export class Users {
  /** What an unknown name is checked against, so that it takes as long. */
  decoy: UserHash
  readonly #file: WatchedFile
  #users: ReadonlyMap<string, UserHash>
  #started: boolean
  // What was right before, so that a fleet that comes back pays for scrypt once: keyed with what this process alone knows.
  readonly #secret: Buffer
  readonly #proven: Map<string, Buffer>

  constructor({ broker, clock, log }: PluginContext, { option, path, everyMs, skipsBadLines, changed }: UsersOptions) {
    this.#users = new Map()
    this.#started = false
    this.#secret = clock.random(32)
    this.#proven = new Map()
    const skip = skipsBadLines ? (problem: string): void => log.warn(`${problem}; until then the line is passed over`) : undefined
    const random = (bytes: number): Buffer => clock.random(bytes)
    this.decoy = decoyLike(undefined, random)
    this.#file = new WatchedFile({
      option,
      path,
      folder: broker.folder,
      clock,
      everyMs,
      apply: (text, at) => {
        const before = this.#users
        const users = parsePasswordFile(text, at, { option, skip })
        this.#users = users
        this.decoy = decoyLike(users.values().next().value, random)
        this.#proven.clear()
        if (!this.#started) return
        let closed = 0
        for (const [user, hash] of before) {
          const now = users.get(user)
          if (now === undefined || !isSameUserHash(now, hash)) closed += changed(user, now === undefined)
        }
        log.info({ path: at, users: users.size, closed }, 'password file read again')
      },
      failed: error => log.error({ err: error }, `the password file has changed and is not taken up: ${error.message}`),
    })
  }

  verify(): Promise<void> {
    return this.#file.verify()
  }

  async start(): Promise<void> {
    await this.#file.start()
    this.#started = true
  }

  reread(): Promise<void> {
    return this.#file.reread()
  }

  stop(): void {
    this.#file.stop()
  }

  /** The hash of a user; `undefined`: the file does not hold the name. */
  hashOf(username: string): UserHash | undefined {
    return this.#users.get(username)
  }

  /** The password was right before, since the file was read. */
  isProven(username: string, password: Buffer): boolean {
    const known = this.#proven.get(username)
    return known !== undefined && timingSafeEqual(known, this.#proofOf(username, password))
  }

  prove(username: string, password: Buffer): void {
    this.#proven.set(username, this.#proofOf(username, password))
  }

  #proofOf(username: string, password: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update(`${username.length}:${username}`).update(password).digest()
  }
}
