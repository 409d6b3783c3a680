import { type FileHandle, open } from 'node:fs/promises'

/** What LMDB says of its file, in pages. */
export interface PageCounts {
  readonly pageSize: number
  readonly lastPageNumber: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
}

const zeros = Buffer.alloc(1024 * 1024)
const stepMax = 16 * 1024 * 1024
// A value longer than this has pages of its own; half a page less what a page and a node hold themselves.
const overflowFrom = 1900
// The list of free pages, the tree's root and whatever else a commit may touch.
const sparePages = 64

/**
 * Keeps the database file longer than LMDB needs it, written with zeros, so that its disk space is there before a commit asks for it. Where there is
 * none, this fails, cleanly, and LMDB is not called: it would write the reason into a buffer that is too short for it (lmdb 3.5.6, mdb.c, "Attempting
 * to write page": 100 bytes), and the process ends a moment later by `malloc(): corrupted top size`.
 */
export class Preallocation {
  readonly #file: FileHandle
  #length: number

  private constructor(file: FileHandle, length: number) {
    this.#file = file
    this.#length = length
  }

  static async open(path: string): Promise<Preallocation> {
    const file = await open(path, 'r+')
    return new Preallocation(file, (await file.stat()).size)
  }

  /** Bytes that are there and not yet used. */
  reserved({ lastPageNumber, pageSize }: PageCounts): number {
    return this.#length - (lastPageNumber + 1) * pageSize
  }

  /** Makes room for a commit, whatever pages it may touch. Fails with the system's error where the disk has none. */
  async reserve(values: readonly (Buffer | null)[], bytes: number, counts: PageCounts): Promise<void> {
    const needed = pagesFor(values, bytes, counts) * counts.pageSize
    if (this.reserved(counts) >= needed) return
    // LMDB may itself have made the file longer.
    this.#length = Math.max(this.#length, (await this.#file.stat()).size)
    const end = (counts.lastPageNumber + 1) * counts.pageSize + needed
    const step = Math.min(stepMax, Math.max(zeros.length, this.#length / 8))
    const length = Math.ceil(Math.max(end, this.#length + step) / zeros.length) * zeros.length
    try {
      await this.#extend(length)
    } catch (error) {
      // The step was more than there is; what is needed may still be.
      await this.#extend(end).catch(() => {
        throw error
      })
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #extend(length: number): Promise<void> {
    while (this.#length < length) {
      const { bytesWritten } = await this.#file.write(zeros, 0, Math.min(zeros.length, length - this.#length), this.#length)
      this.#length += bytesWritten
    }
  }
}

// As many as a commit can touch at most, no page that was freed before counted on: every write its own leaf, as far as there are so many, and
// what is written anew on pages that are half full.
function pagesFor(
  values: readonly (Buffer | null)[],
  bytes: number,
  { pageSize, treeBranchPageCount, treeLeafPageCount }: PageCounts,
): number {
  let overflow = 0
  for (const value of values) if (value !== null && value.length > overflowFrom) overflow += Math.ceil((value.length + 24) / pageSize)
  const touched = Math.min(values.length, treeLeafPageCount) + treeBranchPageCount
  return touched + overflow + Math.ceil((2 * bytes) / pageSize) + sparePages
}
