import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'

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
  help: 'what plugins cost this node, by hook, the dearest first (plugin metrics)',
  example: 'plugins',
  role: 'read',
  takes: { limit: { type: 'integer', minimum: 1, maximum: 200, default: 30 } },
} as const satisfies VerbDeclaration

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    plugins: [given: { limit?: number }, answer: { rows: readonly PluginRow[] }]
  }
}
