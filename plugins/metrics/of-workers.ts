import type { Broker } from '../../core/broker.ts'
import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'

/** Asked by the worker that is scraped; one worker of a broker answers for itself. */
export const metricsVerb = {
  name: 'metrics',
  help: 'the figures of one node, as Prometheus reads them',
  example: 'metrics',
  role: 'read',
  everywhere: true,
  takes: {},
} as const satisfies VerbDeclaration

interface Family {
  readonly head: string[]
  readonly samples: string[]
}

/** The text of all workers of a broker as one: each value has the label `worker`, and each figure stands once. A worker that does not answer is left out. */
export async function textOfWorkers(broker: Broker, own: string): Promise<string> {
  const { worker, verbs } = broker
  if (worker === null) return own
  const base = verbs.node.replace(/\d+$/, '')
  const numbers = Array.from({ length: worker.count }, (_, i) => i + 1)
  const texts = await Promise.all(
    numbers.map(async number => {
      if (number === worker.number) return own
      const answer = await broker.inspect('metrics', { node: `${base}${number}` }).catch(() => null)
      return (answer as { readonly text: string } | null)?.text ?? null
    }),
  )
  const families = new Map<string, Family>()
  for (const [i, text] of texts.entries()) if (text !== null) addTo(families, text, i + 1)
  const answered = texts.filter(text => text !== null).length
  const workers = `# HELP mqttx_workers Workers of the broker that have answered.\n# TYPE mqttx_workers gauge\nmqttx_workers ${answered}\n`
  return workers + [...families.values()].map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`).join('')
}

function addTo(families: Map<string, Family>, text: string, number: number): void {
  let family: Family | null = null
  for (const line of text.split('\n')) {
    const [, kind, name] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? []
    if (name !== undefined) {
      if (kind === 'HELP') {
        family = families.get(name) ?? { head: [], samples: [] }
        families.set(name, family)
      }
      if (family !== null && !family.head.includes(line)) family.head.push(line)
    } else if (line !== '' && family !== null) {
      family.samples.push(
        line.replace(/^([\w:]+)(\{\}?)?/, (_, sample: string, open = '') => `${sample}{worker="${number}"${open === '{' ? ',' : '}'}`),
      )
    }
  }
}
