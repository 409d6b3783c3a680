const timeUnits = [86_400, 3600, 60, 1] as const
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A length of time of a second or more, in two units at most. `names`: of a day, an hour, a minute, a second; `gap` stands between a number and its unit. */
export function inTwoUnits(seconds: number, names: readonly [string, string, string, string], gap: string): string {
  const at = timeUnits.findIndex(size => seconds >= size)
  const size = timeUnits[at]!
  const rest = at + 1 < timeUnits.length ? Math.floor((seconds % size) / timeUnits[at + 1]!) : 0
  return `${Math.floor(seconds / size)}${gap}${names[at]!}${rest === 0 ? '' : ` ${rest}${gap}${names[at + 1]!}`}`
}

/** A number of bytes in the largest unit of which there is one: `[41.2, 'MiB']`. */
export function inBinaryUnit(bytes: number): readonly [value: number, unit: (typeof binaryUnits)[number]] {
  let value = bytes
  let at = 0
  while (value >= 1024 && at < binaryUnits.length - 1) {
    value /= 1024
    at += 1
  }
  return [value, binaryUnits[at]!]
}
