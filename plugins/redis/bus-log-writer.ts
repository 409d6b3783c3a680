import { logEntries, logField } from './script/layout.ts'
import type { Writes } from './writes.ts'

/** What an entry of the log is about: stored sessions, a retained topic, the state, what a node announces. */
type EntryKind = 's' | 'r' | 'k' | 'b'

/** Writes to the cluster's log what no script writes there itself. What is announced in one turn of the event loop is one entry. */
export class BusLogWriter {
  readonly #writes: Writes
  readonly #node: string
  #records: unknown[] = []
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []
  readonly #boot: () => string

  /** `boot` names this run of the node. */
  constructor(writes: Writes, node: string, boot: () => string) {
    this.#writes = writes
    this.#node = node
    this.#boot = boot
  }

  /** Resolves when it cannot be lost any more. */
  announce(record: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#records.length === 0) setImmediate(() => this.#flush())
      this.#records.push(record)
      this.#waiting.push({ resolve, reject })
    })
  }

  #flush(): void {
    const records = this.#records
    const waiting = this.#waiting
    this.#records = []
    this.#waiting = []
    this.append('b', JSON.stringify({ b: this.#boot(), r: records })).then(
      () => {
        for (const { resolve } of waiting) resolve()
      },
      error => {
        for (const { reject } of waiting) reject(error)
      },
    )
  }

  async append(entryKind: EntryKind, text: string): Promise<void> {
    const { writers } = this.#writes
    const { version, node, kind, said } = logField
    const parts = ['MAXLEN', '~', logEntries, '*', version, writers.busVersion, node, this.#node, kind, entryKind, said, text]
    await this.#writes.command('xadd', writers.keys.log, parts, { bytes: 200 + text.length })
  }
}
