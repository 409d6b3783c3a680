import type { OpenRowStore, Row, RowStore, RowStores } from '../../plugins/kit/services/row-store.ts'

/** Rows in memory, for as many stores as a test wants to open one after another: what a disk holds, a bit of which can be another. */
export class MemoryRows implements RowStore, RowStores {
  // A letter is a byte of the key.
  readonly values: Map<string, Buffer>
  /** Called before each commit; one that never resolves is a broker that was killed. */
  beforeCommit: () => Promise<void> = async () => {}

  constructor(values: Iterable<readonly [string, Buffer]> = []) {
    this.values = new Map(values)
  }

  copy(): MemoryRows {
    return new MemoryRows([...this.values].map(([key, value]) => [key, Buffer.from(value)] as const))
  }

  verify(): void {}

  async open(): Promise<OpenRowStore> {
    return { rows: this, recovered: null, close: async () => {} }
  }

  get(key: Buffer): Buffer | undefined {
    return this.values.get(key.toString('latin1'))
  }

  first(): Row | undefined {
    return this.range(Buffer.alloc(0), Buffer.from([0xff]), 1)[0]
  }

  has(key: Buffer): boolean {
    return this.values.has(key.toString('latin1'))
  }

  range(start: Buffer, end: Buffer, limit = Number.POSITIVE_INFINITY): Row[] {
    const [from, to] = [start.toString('latin1'), end.toString('latin1')]
    const keys = [...this.values.keys()].filter(key => key >= from && key < to).sort()
    return keys.slice(0, limit).map(key => ({ key: Buffer.from(key, 'latin1'), value: this.values.get(key)! }))
  }

  keys(start: Buffer, end: Buffer, limit: number): Buffer[] {
    return this.range(start, end, limit).map(({ key }) => key)
  }

  async commit(keys: readonly Buffer[], values: readonly (Buffer | null)[]): Promise<void> {
    await this.beforeCommit()
    for (let i = 0; i < keys.length; i++) {
      const value = values[i]!
      if (value === null) this.values.delete(keys[i]!.toString('latin1'))
      else this.values.set(keys[i]!.toString('latin1'), Buffer.from(value))
    }
  }

  isThere(): boolean {
    return true
  }

  space(): ReturnType<RowStore['space']> {
    return { free: 1e9, size: 1e9, used: 0 }
  }
}
