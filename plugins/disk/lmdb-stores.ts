import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { RowStores } from '../kit/services/row-store.ts'
import { FolderLock } from './folder-lock.ts'
import { verifyFolder } from './verify-folder.ts'

/** Opens LMDB in folders, each for one broker. It is loaded when the first one is opened: whoever brings another row store needs none. */
export const lmdbStores: RowStores = {
  verify: verifyFolder,
  async open(path, option) {
    const { Database } = await import('./database.ts')
    const lock = await FolderLock.acquire(path, option)
    try {
      const recovered = Database.prepare(path)
      const rows = await Database.open(path)
      const close = async (): Promise<void> => {
        await rows.close()
        await lock.release()
      }
      return { rows, recovered, close }
    } catch (error) {
      await lock.release().catch(() => {})
      throw error
    }
  },
  async read(path) {
    const { openToRead } = await import('./database.ts')
    const found = statSync(join(path, 'data.mdb'), { throwIfNoEntry: false })
    // Made, and nobody has written to it yet; or it is on its way to another file.
    return found === undefined || found.size === 0 ? null : openToRead(path)
  },
}
