import type { OptionsOf } from '../../core/options/options.ts'
import type { MissingNode, VerbPart } from '../kit/verbs/verbs.ts'
import type { LogAnswer, LogRow, logsVerb } from './log-verbs.ts'

type Given = OptionsOf<typeof logsVerb.takes>

// What an operator looks back at; whoever wants more keeps the output.
const linesMax = 1000
const bytesMax = 512 * 1024

const names: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }
const least: Readonly<Record<string, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50 }

/** The last lines of the log, as they were written; the oldest go. They are read only when somebody asks. */
export class KeptLines {
  #lines: string[] = []
  #bytes = 0
  // The number of the first line that is kept; each line has the next one.
  #first = 0

  /** A line of JSON. */
  add(line: string): void {
    this.#lines.push(line)
    this.#bytes += line.length
    while (this.#lines.length > linesMax || (this.#bytes > bytesMax && this.#lines.length > 1)) {
      this.#bytes -= this.#lines.shift()!.length
      this.#first += 1
    }
  }

  /** The last of them that are wanted, or the first after a cursor. */
  answer(node: string, { level, match, limit, after }: Given): LogAnswer {
    const since = after === null ? null : (cursorOf(after)[node] ?? null)
    // A node that was started anew counts from 0 again.
    const from = since === null || since > this.#first + this.#lines.length ? this.#first : Math.max(since, this.#first)
    const rows: LogRow[] = []
    let next = this.#first + this.#lines.length
    const wanted = match?.toLowerCase() ?? null
    const keep = (at: number): boolean => {
      const line = this.#lines[at - this.#first]!
      if (wanted !== null && !line.toLowerCase().includes(wanted)) return false
      const row = rowOf(line, node, least[level]!)
      if (row === null) return false
      rows.push(row)
      return rows.length === limit
    }
    if (since === null) {
      for (let at = next - 1; at >= from; at--) if (keep(at)) break
      rows.reverse()
    } else {
      for (let at = from; at < next; at++) if (keep(at)) next = at + 1
    }
    return { rows, cursor: writeCursor({ [node]: next }) }
  }
}

/** The lines of all nodes, in the order of their times. */
export function mergeLines(parts: readonly VerbPart[], missing: readonly MissingNode[]): LogAnswer {
  const answers = parts.map(({ answer }) => answer as LogAnswer)
  const rows = answers.flatMap(answer => answer.rows).sort((a, b) => a.at - b.at)
  const cursor = writeCursor(Object.assign({}, ...answers.map(answer => cursorOf(answer.cursor))))
  return { rows, cursor, ...(missing.length > 0 ? { missing } : {}) }
}

function rowOf(line: string, node: string, levelMin: number): LogRow | null {
  const { level, time, msg, pid: _pid, hostname: _host, ...fields } = JSON.parse(line) as Record<string, unknown>
  if (typeof level !== 'number' || level < levelMin) return null
  return { at: Number(time), node, level: names[level] ?? String(level), text: String(msg ?? ''), fields }
}

function writeCursor(places: Readonly<Record<string, number>>): string {
  return Buffer.from(JSON.stringify(places)).toString('base64url')
}

// Whatever somebody else has written there is no place.
function cursorOf(text: string): Readonly<Record<string, number>> {
  try {
    const places = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown
    if (typeof places !== 'object' || places === null) return {}
    return Object.fromEntries(Object.entries(places).filter(([, place]) => Number.isInteger(place)))
  } catch {
    return {}
  }
}
