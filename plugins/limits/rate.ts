/** So many a second on average, so many at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Where no burst is given it is two seconds' worth, one at least. */
export function rateOf(perSecond: number | null, burst: number | null): Rate | null {
  return perSecond === null ? null : { perSecond, burst: burst ?? Math.max(1, Math.ceil(perSecond * 2)) }
}
