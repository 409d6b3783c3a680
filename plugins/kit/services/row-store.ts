/** A key and what stands under it. */
export interface Row {
  /** What the row is found and sorted by. */
  readonly key: Buffer
  /** What stands there. */
  readonly value: Buffer
}

/**
 * One ordered map on a disk, in which `disk` and `diskQueue` keep everything. Keys are compared byte by byte. Reads answer in the call; what they return must not be changed, and
 * shows what the last commit that has resolved left.
 */
export interface RowStore {
  /** What stands under a key. */
  get(key: Buffer): Buffer | undefined
  /** The first row of all; `undefined` where there is none. */
  first(): Row | undefined
  /** Whether something stands under a key. */
  has(key: Buffer): boolean
  /** Rows from `start` up to but without `end`, in order, at most `limit` (default: all). It is read out in the same call, and shows the moment of its beginning. */
  range(start: Buffer, end: Buffer, limit?: number): Iterable<Row>
  /** The keys of these rows alone. */
  keys(start: Buffer, end: Buffer, limit: number): Iterable<Buffer>
  /**
   * Makes all of it true in one transaction and resolves when that would survive a loss of power; `null` removes. `bytes`: what keys and values come to. Nothing changes a key or a
   * value meanwhile, and one commit follows another. Rejects with an error of the file system (`code`: `ENOSPC`, `EIO`…) where nothing of it was kept.
   */
  commit(keys: readonly Buffer[], values: readonly (Buffer | null)[], bytes: number): Promise<void>
  /** The place that was opened is still there. */
  isThere(): boolean
  /** Bytes that are free for us, and all of the place; `used`: that the rows take, left out where nobody knows. */
  space(): { readonly free: number; readonly size: number; readonly used?: number }
  /**
   * Writes all that the last commit has left to a folder, which it makes, while commits go on. Resolves when the copy would survive a loss of power. Left out: a running broker makes
   * no backup of it.
   */
  copyTo?(folder: string): Promise<void>
  /** Gives space in which nothing stands back to the file system. No commit is made meanwhile; reads go on. Says how many bytes it took before and takes now. Left out: it needs no such thing. */
  compact?(): Promise<{ readonly beforeBytes: number; readonly afterBytes: number }>
}

/** A row store that is open for one broker. */
export interface OpenRowStore {
  /** What is in it. */
  readonly rows: RowStore
  /** What was found damaged and repaired, for the log; null: nothing. */
  readonly recovered: string | null
  /** Gives it back, so that another broker may open it. */
  close(): Promise<void>
}

/** A row store that another worker of this broker has open, for reading. What `RowStore` says of reads holds, as of the last `refresh`. */
export interface RowReader extends Pick<RowStore, 'get' | 'has' | 'keys'> {
  /** Reads show every commit that has resolved before, in whichever process. */
  refresh(): void
  /** As `RowStore.copyTo`. Left out: a broker with several workers makes no backup of it. */
  copyTo?(folder: string): Promise<void>
  /** Nothing more is read. */
  close(): Promise<void>
}

/** Opens row stores: the service `rowStores`. Where nobody owns it, `disk` and `diskQueue` use LMDB. */
export interface RowStores {
  /** Sees, without opening or making anything, whether the one at a path could be used. Throws where it could not. */
  verify(path: string): void
  /** Opens the one at a path, for this broker alone, made where there is none. Rejects with an `OperatorError`, or an error of the file system; `option` names the path in the config. */
  open(path: string, option: string): Promise<OpenRowStore>
  /** Opens one for reading that another worker of this broker has open; null: it is not there yet. Left out: a broker with it has no workers. */
  read?(path: string): Promise<RowReader | null>
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** What `disk` and `diskQueue` keep their rows in, in place of LMDB. */
    rowStores: RowStores
  }
}
