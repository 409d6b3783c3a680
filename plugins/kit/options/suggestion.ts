/** The candidate that was probably meant, if one is near enough. Case, `-` and `_` do not count: `share-topic` is `shareTopic`. */
export function suggest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(name)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.ceil(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(wanted, fold(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** The end of a message about an unknown name: what was meant, or else what there is. */
export function unknownName(name: string, candidates: readonly string[]): string {
  const meant = suggest(name, candidates)
  if (meant !== undefined) return `unknown; did you mean ${meant}?`
  return candidates.length === 0 ? 'unknown; there are no options here' : `unknown; known are ${candidates.join(', ')}`
}

/** A name without what people get wrong about it. */
export function fold(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Letters to insert, drop, replace or swap with their neighbour to come from one word to the other. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let distance = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) distance = Math.min(distance, beforeLast[column - 2]! + 1)
      current.push(distance)
    }
    beforeLast = last
    last = current
  }
  return last[b.length]!
}
