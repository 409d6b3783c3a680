import { OperatorError } from '../../core/errors.ts'
import { WatchedFile, type WatchedFileOptions } from '../kit/watched-file.ts'
import { candidates, type KeyWish, type VerificationKey } from './keys.ts'

/** Where the keys come from that tokens are checked with. */
export interface KeySource {
  /** The keys that a token may have been signed with; none: there is no such key. `null`: nobody can tell just now. */
  find(wish: KeyWish): readonly VerificationKey[] | null | Promise<readonly VerificationKey[] | null>
  readonly count: number
  verify(): void | Promise<void>
  start(): void | Promise<void>
  reread(): void | Promise<void>
  stop(): void
}

/** Keys of a file, which is watched. `read` makes keys of its text, or throws an error that says what is wrong. */
export class FileKeys implements KeySource {
  readonly #file: WatchedFile
  #keys: readonly VerificationKey[] = []

  constructor(options: Omit<WatchedFileOptions, 'apply'>, read: (text: string) => readonly VerificationKey[]) {
    this.#file = new WatchedFile({
      ...options,
      apply: (text, path) => {
        this.#keys = readKeys(`${options.option}: ${path}`, () => read(text))
      },
    })
  }

  get count(): number {
    return this.#keys.length
  }

  find(wish: KeyWish): readonly VerificationKey[] {
    return candidates(this.#keys, wish)
  }

  verify(): Promise<void> {
    return this.#file.verify()
  }

  start(): Promise<void> {
    return this.#file.start()
  }

  reread(): Promise<void> {
    return this.#file.reread()
  }

  stop(): void {
    this.#file.stop()
  }
}

/** The one key of a secret that stands in the config. */
export function fixedKey(key: VerificationKey): KeySource {
  return { find: wish => candidates([key], wish), count: 1, verify() {}, start() {}, reread() {}, stop() {} }
}

/** Makes keys of what an option says; what is wrong is the operator's to put right. */
export function readKeys<T>(at: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new OperatorError('ERR_JWT_KEYS', `${at}: ${(cause as Error).message}`, { cause })
  }
}
