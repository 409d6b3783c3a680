/** The forms of a duration, for messages. */
export const durationForms = "'60s', '500ms', '1m', '2h', '1d' or a number of milliseconds"
/** The forms of a number of bytes, for messages. */
export const bytesForms = "'2MiB', '64KiB', '10MB' or a number of bytes"

/** The longest that `setTimeout` can wait: beyond it a timer fires at once. */
export const durationMsMax = 2 ** 31 - 1

const millisecondsPer: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const bytesPer: Record<string, number> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/** Milliseconds of `'60s'`, `'500ms'`, `'1m'`, `'2h'`, `'1d'` or a number; `undefined` if it is none of these. */
export function parseDuration(value: unknown): number | undefined {
  return parseQuantity(value, millisecondsPer)
}

/** Bytes of `'2MiB'`, `'64KiB'`, `'10MB'` or a number; `undefined` if it is none of these. */
export function parseBytes(value: unknown): number | undefined {
  return parseQuantity(value, bytesPer)
}

/** A duration as a person would write it: 60000 is `60s`. */
export function formatDuration(milliseconds: number): string {
  return formatQuantity(milliseconds, [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ])
}

/** A number of bytes as a person would write it: 2097152 is `2MiB`. */
export function formatBytes(bytes: number): string {
  return formatQuantity(bytes, [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
    ['', 1],
  ])
}

function parseQuantity(value: unknown, units: Record<string, number>): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*$/i.exec(value)
  if (match === null) return undefined
  // A bare number in quotes is how the environment and the command line say a plain number.
  const scale = match[2] === undefined ? 1 : units[match[2].toLowerCase()]
  if (scale === undefined) return undefined
  const amount = Math.round(Number(match[1]) * scale)
  return Number.isSafeInteger(amount) ? amount : undefined
}

function formatQuantity(amount: number, units: readonly (readonly [string, number])[]): string {
  for (const [unit, scale] of units) if (amount >= scale && amount % scale === 0) return `${amount / scale}${unit}`
  return String(amount)
}
