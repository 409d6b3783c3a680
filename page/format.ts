const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumFractionDigits: 1 })

/** `12,345`. */
export function count(value: number): string {
  return whole.format(value)
}

/** `12.3k` from ten thousand on. */
export function compact(value: number): string {
  return value >= 10_000 ? short.format(value) : value >= 100 || Number.isInteger(value) ? whole.format(value) : value.toFixed(1)
}

/** `41.2 MiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at += 1
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`
}

/** Two units at most: `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 1) return `${Math.max(0, Math.round(ms))} ms`
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const
  const at = units.findIndex(([size]) => seconds >= size)
  const [size, unit] = units[at]!
  const next = units[at + 1]
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[0])
  return `${Math.floor(seconds / size)} ${unit}${rest === 0 ? '' : ` ${rest} ${next![1]}`}`
}

/** `5 min ago`; the broker's clock may be some seconds off this one's. */
export function ago(at: number): string {
  const passed = Date.now() - at
  return passed < 1500 ? 'just now' : `${duration(passed)} ago`
}

/** The time of day, with the date where it is another day's. */
export function time(at: number): string {
  const date = new Date(at)
  const clock = date.toLocaleTimeString('en-GB')
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toISOString().slice(0, 10)} ${clock}`
}

/** One thing or several: `1 alarm`, `2 alarms`. */
export function many(number: number, one: string, several = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : several}`
}
