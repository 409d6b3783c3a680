/** What up to three clients do to one broker, in order. */
export type Step =
  | { readonly kind: 'send'; readonly client: number; readonly bytes: Buffer }
  /** The connection breaks. */
  | { readonly kind: 'drop'; readonly client: number }
  /** It reads nothing any more, or reads again. */
  | { readonly kind: 'hold' | 'read'; readonly client: number }
  | { readonly kind: 'wait'; readonly ms: number }

/** Which broker: one that allows everything, one with rules, limits and an exchange of authentication, or one whose sessions belong to two users and nobody. */
export const brokers = ['plain', 'guarded', 'owned'] as const
export type BrokerName = (typeof brokers)[number]

export interface Script {
  readonly broker: BrokerName
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
  const name = brokers.find(one => one === broker)
  if (name === undefined) throw new Error(`no script: it begins with ${broker}`)
  return { broker: name, steps: lines.map(parseStep) }
}

function parseStep(line: string): Step {
  const [first = '', kind = '', hex = ''] = line.split(' ')
  if (first === 'wait') return { kind: 'wait', ms: Number(kind) }
  const client = Number(first)
  if (kind === 'send') return { kind, client, bytes: Buffer.from(hex, 'hex') }
  if (kind === 'drop' || kind === 'hold' || kind === 'read') return { kind, client }
  throw new Error(`no step: ${line}`)
}
