import type { RateRow } from './answers.ts'

/** What a row of rates says, besides when and where. */
export type RateFigure = Exclude<keyof RateRow, 'at' | 'node'>

/** All of them. */
export const rateFigures: readonly RateFigure[] = [
  'received',
  'sent',
  'bytesIn',
  'bytesOut',
  'dropped',
  'refused',
  'connects',
  'connections',
  'busyPercent',
  'lagMs',
  'cpuPercent',
  'rss',
]

/** Of several nodes the greatest counts; all others are added up. */
export const greatestOfNodes: ReadonlySet<RateFigure> = new Set(['busyPercent', 'lagMs'])
