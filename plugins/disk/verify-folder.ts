import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Sees, without opening or making anything, whether a folder could be used, or made where there is none. Throws what the file system says. */
export function verifyFolder(path: string): void {
  for (let at = path; ; at = dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false })
    if (found === undefined && at !== dirname(at)) continue
    if (found?.isDirectory() !== true) throw Object.assign(new Error(`${at} is not a folder`), { code: 'ENOTDIR' })
    accessSync(at, constants.R_OK | constants.W_OK | constants.X_OK)
    return
  }
}
