import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'
import type { MissingNode, VerbPart } from '../kit/verbs/verbs.ts'

/** What the taps of one plugin at one hook cost. */
export interface PluginRow {
  /** The plugin. */
  readonly plugin: string
  /** The hook. */
  readonly hook: string
  /** How often it was called. */
  readonly calls: number
  /** Seconds for which it has kept the event loop, as far as a sample of 1 in 64 calls tells. */
  readonly seconds: number
}

export const pluginsVerb = {
  name: 'plugins',
  help: 'what plugins cost this node, its workers together, by hook, the dearest first (plugin metrics)',
  example: 'plugins',
  role: 'read',
  everywhere: true,
  ownWorkersOnly: true,
  takes: { limit: { type: 'integer', minimum: 1, maximum: 200, default: 30 } },
} as const satisfies VerbDeclaration

/** What plugins cost. */
export interface PluginsAnswer {
  /** By plugin and hook, the dearest first. */
  readonly rows: readonly PluginRow[]
  /** Workers of this broker that have not answered. */
  readonly missing?: readonly MissingNode[]
}

/** The dearest of these. */
export function dearest(rows: readonly PluginRow[], limit: number): PluginRow[] {
  return rows.toSorted((a, b) => b.seconds - a.seconds || b.calls - a.calls).slice(0, limit)
}

/** Those of several workers together. */
export function mergePlugins(parts: readonly VerbPart[], missing: readonly MissingNode[], { limit }: { limit: number }): PluginsAnswer {
  const sums = new Map<string, { plugin: string; hook: string; calls: number; seconds: number }>()
  for (const { plugin, hook, calls, seconds } of parts.flatMap(({ answer }) => (answer as PluginsAnswer).rows)) {
    const sum = sums.get(`${plugin} ${hook}`)
    if (sum === undefined) sums.set(`${plugin} ${hook}`, { plugin, hook, calls, seconds })
    else {
      sum.calls += calls
      sum.seconds = Number((sum.seconds + seconds).toFixed(6))
    }
  }
  return { rows: dearest([...sums.values()], limit), ...(missing.length > 0 ? { missing } : {}) }
}

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    plugins: [given: { limit?: number; node?: string }, answer: PluginsAnswer]
  }
}
