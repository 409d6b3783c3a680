import { inBinaryUnit, inTwoUnits } from '../plugins/kit/shown-units.ts'

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
  const [number, unit] = inBinaryUnit(value)
  return `${unit === 'B' || number >= 100 ? Math.round(number) : number.toFixed(1)} ${unit}`
}

/** Two units at most: `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  return seconds < 1 ? `${Math.max(0, Math.round(ms))} ms` : inTwoUnits(seconds, ['d', 'h', 'min', 's'], ' ')
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
