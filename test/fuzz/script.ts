/** What up to three clients do to one broker, in order. */
export type Step =
  | { readonly kind: 'send'; readonly client: number; readonly bytes: Buffer }
  /** The connection breaks. */
  | { readonly kind: 'drop'; readonly client: number }
  /** It reads nothing any more, or reads again. */
  | { readonly kind: 'hold' | 'read'; readonly client: number }
  | { readonly kind: 'wait'; readonly ms: number }

export interface Script {
  /** Which broker: one that allows everything, or one with rules, limits and an exchange of authentication. */
  readonly broker: 'plain' | 'guarded'
  readonly steps: readonly Step[]
}

/** A script as a file of the corpus: a line a step. */
export function scriptText({ broker, steps }: Script): string {
  const lines = steps.map(step => {
    if (step.kind === 'wait') return `wait ${step.ms}`
    return step.kind === 'send' ? `${step.client} send ${step.bytes.toString('hex')}` : `${step.client} ${step.kind}`
  })
  return `${[broker, ...lines].join('\n')}\n`
}

export function parseScript(text: string): Script {
  const [broker, ...lines] = text.trim().split('\n')
  if (broker !== 'plain' && broker !== 'guarded') throw new Error(`no script: it begins with ${broker}`)
  return { broker, steps: lines.map(parseStep) }
}

function parseStep(line: string): Step {
  const [first = '', kind = '', hex = ''] = line.split(' ')
  if (first === 'wait') return { kind: 'wait', ms: Number(kind) }
  const client = Number(first)
  if (kind === 'send') return { kind, client, bytes: Buffer.from(hex, 'hex') }
  if (kind === 'drop' || kind === 'hold' || kind === 'read') return { kind, client }
  throw new Error(`no step: ${line}`)
}
