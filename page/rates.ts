import { useEffect, useMemo, useState } from 'preact/hooks'
import type { RateRow } from '../plugins/admin/answers.ts'
import { greatestOfNodes, type RateFigure, rateFigures } from '../plugins/admin/rate-figures.ts'
import { type ApiError, ask } from './api.ts'
import { asApiError, whileSeen } from './live.ts'

/** How far back is looked. */
export type Span = '10m' | '1h' | '24h'

type Sum = Omit<RateRow, 'node'>

/** What has come and gone at all nodes together. */
export interface RatesSeen {
  readonly rows: readonly Sum[]
  readonly times: readonly number[]
  readonly columns: Readonly<Record<RateFigure, readonly number[]>>
  readonly error: ApiError | null
  readonly missing: readonly { readonly node: string; readonly why: string }[] | undefined
}

const rowsMax = 200
// The broker's clock may be off this one's.
const slackMs = 60_000

/** Follows the rates: all of a span first, then only what is new. */
export function useRates(span: Span): RatesSeen {
  const [state, set] = useState<{ rows: readonly RateRow[]; everyMs: number; error: ApiError | null; missing?: RatesSeen['missing'] }>({
    rows: [],
    everyMs: 3000,
    error: null,
  })
  useEffect(() => {
    let rows: readonly RateRow[] = []
    const { stop } = whileSeen(async signal => {
      try {
        const since = Math.min(...Object.values(lastOfEach(rows)))
        const answer = await ask('rates', { span, limit: rowsMax, ...(rows.length > 0 ? { since } : {}) }, signal)
        const { everyMs, missing } = answer
        const known = new Set(rows.map(({ node, at }) => `${node} ${at}`))
        const oldest = Date.now() - everyMs * rowsMax
        rows = [...rows, ...answer.rows.filter(({ node, at }) => !known.has(`${node} ${at}`))].filter(({ at }) => at > oldest - slackMs)
        set({ rows, everyMs, error: null, missing })
        return Math.min(everyMs, 30_000)
      } catch (error) {
        if (!signal.aborted) set(before => ({ ...before, error: asApiError(error) }))
        return 3000
      }
    })
    return stop
  }, [span])
  const { rows, everyMs, error, missing } = state
  return useMemo(() => {
    const sums = sumsOf(rows, everyMs)
    const column = (name: keyof Sum): number[] => sums.map(sum => sum[name])
    return {
      rows: sums,
      times: column('at'),
      columns: Object.fromEntries(rateFigures.map(name => [name, column(name)])) as unknown as RatesSeen['columns'],
      error,
      missing,
    }
  }, [rows, everyMs, error, missing])
}

function lastOfEach(rows: readonly RateRow[]): Record<string, number> {
  const last: Record<string, number> = {}
  for (const { node, at } of rows) last[node] = Math.max(last[node] ?? 0, at)
  return last
}

/** One row for each moment: rates are added up, of waits the longest counts. The last moment is left out until all nodes have said theirs. */
function sumsOf(rows: readonly RateRow[], everyMs: number): Sum[] {
  const nodes = new Set(rows.map(({ node }) => node))
  const moments = new Map<number, { sum: { -readonly [K in keyof Sum]: Sum[K] }; nodes: Set<string> }>()
  for (const { node, ...row } of rows) {
    const moment = nodes.size === 1 ? row.at : Math.round(row.at / everyMs) * everyMs
    const known = moments.get(moment)
    if (known === undefined) moments.set(moment, { sum: { ...row, at: moment }, nodes: new Set([node]) })
    else if (!known.nodes.has(node)) {
      known.nodes.add(node)
      const { sum } = known
      for (const name of rateFigures) sum[name] = greatestOfNodes.has(name) ? Math.max(sum[name], row[name]) : sum[name] + row[name]
    }
  }
  const all = [...moments.values()].sort((a, b) => a.sum.at - b.sum.at)
  while (all.length > 1 && all.at(-1)!.nodes.size < nodes.size) all.pop()
  return all.map(({ sum }) => sum)
}
