import { formatBytes, formatDuration } from '../../../plugins/kit/options/quantity.ts'
import { shownText } from '../../../plugins/kit/shown-text.ts'
import { inBinaryUnit, inTwoUnits } from '../../../plugins/kit/shown-units.ts'

/** An answer as lines for people. Rows are a table, everything else a line for each part; texts of clients write nothing but what they say. */
export function showAnswer(answer: object, now: number): string[] {
  const { rows, ...rest } = answer as { readonly rows?: readonly object[] }
  const lines = recordLines(rest, now, '', rows === undefined ? [] : ['next', 'cursor', 'missing'])
  if (rows === undefined) return lines
  const table = rows.length === 0 ? ['nothing'] : tableLines(rows, now)
  return lines.length === 0 ? table : [...lines, '', ...table]
}

function recordLines(record: object, now: number, above: string, without: readonly string[] = []): string[] {
  const lines: [string, string][] = []
  const tables: string[] = []
  for (const [name, value] of Object.entries(record)) {
    if (without.includes(name)) continue
    const path = above === '' ? name : `${above}.${name}`
    if (isRows(value)) {
      if (value.length > 0) tables.push('', `${path}:`, ...tableLines(value, now).map(line => `  ${line}`))
    } else if (Array.isArray(value)) lines.push([path, value.length === 0 ? '-' : value.map(one => cell(name, one, now)).join(', ')])
    else if (typeof value === 'object' && value !== null) {
      const entries = Object.entries(value)
      lines.push([
        path,
        entries.length === 0 ? '-' : entries.map(([key, one]) => `${shownText(key)} ${cell(key === '' ? name : key, one, now)}`).join(', '),
      ])
    } else lines.push([path, cell(name, value, now)])
  }
  const width = Math.max(0, ...lines.map(([name]) => name.length))
  return [...lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`), ...tables]
}

function isRows(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.length > 0 && value.every(one => typeof one === 'object' && one !== null)
}

/** A table with a line for its columns. */
function tableLines(rows: readonly object[], now: number): string[] {
  const names = [...new Set(rows.flatMap(row => Object.keys(row)))]
  const cells = rows.map(row => names.map(name => cell(name, (row as Record<string, unknown>)[name], now)))
  const widths = names.map((name, column) => Math.max(name.length, ...cells.map(row => row[column]!.length)))
  const line = (parts: readonly string[]): string =>
    parts
      .map((part, column) => part.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  return [line(names), ...cells.map(line)]
}

const sizes = new Set(['bytes', 'held', 'unwritten', 'rss', 'heapUsed', 'external'])

/** One value. What its name ends with says its unit: `connectedAt`, `uptimeMs`, `storeFreeBytes`. */
function cell(name: string, value: unknown, now: number): string {
  if (value === null || value === undefined) return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number') {
    if (name === 'at' || name === 'since' || name.endsWith('At'))
      return `${new Date(value).toISOString().slice(0, 19)}Z (${ago(value, now)})`
    if (name.endsWith('Ms')) return roughly(value)
    return sizes.has(name) || name.endsWith('Bytes') ? sized(value) : String(value)
  }
  if (typeof value === 'object') return shownText(JSON.stringify(value))
  return shownText(String(value))
}

function ago(at: number, now: number): string {
  return at > now ? `in ${roughly(at - now)}` : `${roughly(now - at)} ago`
}

// Two units tell enough.
function roughly(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 1 ? formatDuration(Math.round(ms)) : inTwoUnits(seconds, ['d', 'h', 'm', 's'], '')
}

function sized(bytes: number): string {
  const [value, unit] = inBinaryUnit(bytes)
  return unit === 'B' ? formatBytes(bytes) : `${value.toFixed(1)} ${unit}`
}
