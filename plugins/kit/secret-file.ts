import { chmod, open, readFile, rename, rm, stat } from 'node:fs/promises'
import type { ErrorCode } from '../../core/error-codes.ts'
import { OperatorError } from '../../core/errors.ts'

/** The text of a file that a command changes; empty where there is none yet. What cannot be read is an `OperatorError` of this code, which names the command. */
export async function textOf(path: string, command: string, error: ErrorCode): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new OperatorError(error, `${command}: ${path} cannot be read: ${message}; name a file that can be`, { cause })
  }
}

/**
 * Writes a file that only its owner can read: beside it first, and then in its place at once, so that a broker that reads meanwhile sees the old one or the
 * new one. What cannot be written is an `OperatorError` of this code.
 */
export async function writeSecret(path: string, text: string, command: string, error: ErrorCode): Promise<void> {
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
    throw new OperatorError(error, `${command}: ${path} cannot be written: ${(cause as Error).message}; choose a folder that can be`, {
      cause,
    })
  }
}
