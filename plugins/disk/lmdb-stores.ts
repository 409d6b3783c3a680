import type { RowStores } from '../kit/services/row-store.ts'
import { Database } from './database.ts'
import { FolderLock } from './folder-lock.ts'
import { verifyFolder } from './verify-folder.ts'

/** Opens LMDB in folders, each for one broker. */
export const lmdbStores: RowStores = {
  verify: verifyFolder,
  async open(path, option) {
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
}
