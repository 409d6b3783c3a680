import type { Clock } from '../../core/time/clock.ts'
import type { State, StateEntry, StateWatcher } from '../kit/services/state.ts'
import { StateTable } from '../kit/state-table.ts'

/** The `state` service in this process. */
export class MemoryState implements State {
  readonly table: StateTable

  constructor(clock: Clock) {
    this.table = new StateTable(clock)
  }

  get(key: string): StateEntry | undefined {
    return this.table.get(key)
  }

  entries(prefix: string): StateEntry[] {
    return this.table.entries(prefix)
  }

  async set(key: string, value: string, expiresAt = Number.POSITIVE_INFINITY): Promise<void> {
    const fault = this.table.fault(key, value)
    if (fault !== null) throw fault
    this.table.put({ key, value, expiresAt })
  }

  async delete(key: string): Promise<boolean> {
    return this.table.remove(key)
  }

  watch(prefix: string, watcher: StateWatcher): () => void {
    return this.table.watch(prefix, watcher)
  }
}
