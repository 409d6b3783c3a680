import { TableState } from '../kit/state-table.ts'

/** The `state` service in this process. */
export class MemoryState extends TableState {
  override async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY): Promise<void> {
    const fault = this.table.fault(key, value)
    if (fault !== null) throw fault
    this.table.put({ key, value, expiresAt })
  }

  override async delete(key: string): Promise<boolean> {
    return this.table.remove(key)
  }
}
