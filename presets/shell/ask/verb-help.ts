import { describeOption } from '../../../plugins/kit/options/describe.ts'
import type { VerbRow } from '../../../plugins/kit/verbs/listed.ts'
import { localCommands } from '../copies/declarations.ts'

/** The help of one verb. */
export function verbHelp({ name, help, example, takes, positional, yes, role }: VerbRow): string[] {
  const places = positional.map(place => (takes[place]?.required === true ? place.toUpperCase() : `[${place.toUpperCase()}]`))
  const options = Object.entries(takes).filter(([option]) => !positional.includes(option))
  const rows = options.map(([option, schema]) => {
    const standard = schema.default === undefined || schema.default === null ? '' : ` (${String(schema.default)} where nothing is said)`
    return [`--${option}`, `${describeOption(schema)}${standard}`] as const
  })
  const isLocal = localCommands.includes(name)
  const socket = isLocal ? [] : [['--socket PATH', "the broker's admin socket"] as const]
  const all = [...rows, ['--json', 'the answer as JSON'] as const, ...socket]
  const width = Math.max(...all.map(([option]) => option.length))
  return [
    `Usage: mqttx-broker ${[name, ...places].join(' ')} [options]`,
    help,
    '',
    ...all.map(([option, text]) => `  ${option.padEnd(width)}  ${text}`),
    '',
    `For example: mqttx-broker ${example}`,
    `${isLocal ? 'No admin socket is asked.' : `By HTTP it needs the role ${role}.`} Exit codes: 0 done; 1 not asked, or refused${yes === null ? '' : `; 3 where ${yes} is no`}.`,
  ]
}

/** All verbs, one line each, for the help of the command. */
export function verbList(verbs: readonly VerbRow[]): string {
  const width = Math.max(...verbs.map(({ name }) => name.length))
  const lines = verbs.map(({ name, help }) => `  ${name.padEnd(width)}  ${help}`)
  return ['To ask a running broker, and to steer it; mqttx-broker help VERB says more:', ...lines].join('\n')
}
