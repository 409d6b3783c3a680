import { readFile } from 'node:fs/promises'
import type { ErrorCode } from '../../core/error-codes.ts'
import { OperatorError } from '../../core/errors.ts'
import { stampOf } from './file-stamp.ts'

/** A file that an option names. */
export interface NamedFile {
  /** Which option names it: `ssl.cert`. */
  readonly option: string
  /** The absolute path of the file. */
  readonly path: string
  /** What the file holds. */
  readonly bytes: Buffer
  /** What `stampOf` said before it was read: when that differs, so may the bytes. */
  readonly stamp: string
}

/**
 * Reads a file that an option names. A file that cannot be read is an `OperatorError` with this code, in one line that says the cure; `cure`: what to do
 * where there is no such file.
 */
export async function readNamed(option: string, path: string, code: ErrorCode, cure: string): Promise<NamedFile> {
  // Before it is read: what is written meanwhile is seen at the next look.
  const stamp = await stampOf(path)
  try {
    return { option, path, stamp, bytes: await readFile(path) }
  } catch (cause) {
    throw new OperatorError(code, `${option}: ${whyUnreadable(path, cause as NodeJS.ErrnoException, cure)}`, { cause })
  }
}

function whyUnreadable(path: string, { code, message }: NodeJS.ErrnoException, cure: string): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no file ${path}; ${cure}`
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be read by this user; give it to the broker's user: chown USER ${path}`
    case 'EISDIR':
      return `${path} is a folder; name a file in it`
    default:
      return `${path} cannot be read (${message}); name a file that can be`
  }
}

declare module '../../core/error-codes.js' {
  interface ErrorCodes {
    /** A file that an option names is not there, is a folder, or may not be read. */
    ERR_FILE: true
  }
}
