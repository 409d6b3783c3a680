import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'

export const nodesForgetVerb = {
  name: 'nodes forget',
  help: 'take a dead node off the list, because it will not come back: its alarm ends',
  example: 'nodes forget n3',
  role: 'operate',
  yes: 'forgotten',
  changes: true,
  everywhere: true,
  takes: { name: { type: 'string', minLength: 1, required: true } },
  positional: ['name'],
} as const satisfies VerbDeclaration

/** What `nodes forget` has done. */
export interface ForgetAnswer {
  /** The name of the node. */
  readonly name: string
  /** It was among the dead, and is no more. */
  readonly forgotten: boolean
}

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    'nodes forget': [given: { name: string; node?: string }, answer: ForgetAnswer & { readonly missing?: readonly MissingNode[] }]
  }
}
