import type { ImportSource, Untranslated } from '../imported.ts'
import { shownLine } from './conf.ts'
import type { ConfLine } from './conf-lines.ts'

/** Where the parts of mosquitto.conf are put down as they are translated. */
export class Translation {
  readonly source: ImportSource
  readonly config: Record<string, unknown>
  readonly comments: Record<string, string>
  readonly notes: string[]
  readonly untranslated: Untranslated[]
  /** What the new config cannot do without being more open than the old one: whoever runs the file as it is must not start. */
  readonly unsafe: Untranslated[]

  constructor(source: ImportSource) {
    this.source = source
    this.config = {}
    this.comments = {}
    this.notes = []
    this.untranslated = []
    this.unsafe = []
  }

  /** Sets an option by its path, as in `mqtt.inflightMax`, with a comment if there is something to say beside it. */
  set(path: string, value: unknown, comment?: string): void {
    const keys = path.split('.')
    const last = keys.pop()!
    let record = this.config
    for (const key of keys) record = (record[key] ??= {}) as Record<string, unknown>
    record[last] = value
    if (comment !== undefined) this.comments[path] = comment
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text)
  }

  /** A line that the new config does not hold, and why. `unsafe`: without it more would be allowed than before. */
  leave(line: ConfLine | undefined, reason: string, unsafe = false): void {
    if (line === undefined) return
    const one = { line: line.line, ...(line.file === undefined ? {} : { file: line.file }), text: shownLine(line), reason }
    this.untranslated.push(one)
    if (unsafe) this.unsafe.push(one)
  }

  /** How the new config names a file that the old one names. */
  path(path: string): string {
    return this.source.path(path)
  }
}
