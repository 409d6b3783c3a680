import { parseArgs } from 'node:util'
import { startMosquitto, startOurs } from './brokers.ts'
import { type Difference, differences } from './compare.ts'
import { Player } from './player.ts'
import { rules } from './rules.ts'
import { drawScript } from './script.ts'

const usage = `npm run differential [-- options]     the same random clients on this broker and on a real mosquitto
  --scripts A-B    seeds of scripts (default 1-1000)
  --script N       one, with all that differs
  --all            prints what rules allow, too`

const seedsShown = 8

const { values } = parseArgs({
  options: {
    scripts: { type: 'string', default: '1-1000' },
    script: { type: 'string' },
    all: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(usage)
else await main()

async function main(): Promise<void> {
  const [from, to] = (values.script ?? values.scripts).split('-').map(Number) as [number, number | undefined]
  const [ours, theirs] = [await startOurs(), await startMosquitto()]
  const [one, other] = [new Player(ours.port), new Player(theirs.port)]
  const counts = new Map<string, number>()
  let unclassified = 0
  let steps = 0
  const last = to ?? from
  const groups = new Map<string, { count: number; seeds: number[]; example: string }>()
  try {
    for (let seed = from; seed <= last; seed++) {
      const script = drawScript(seed)
      steps += script.steps.length
      const found = differences(script, await one.play(script), await other.play(script))
      const matched = new Set<string>()
      const open = found.filter(difference => {
        const rule = rules.find(rule => rule.matches(difference, found))
        if (rule !== undefined) matched.add(rule.name)
        if (values.all && rule !== undefined) console.log(`${rule.name}: ${shown(difference)}`)
        return rule === undefined
      })
      for (const name of matched) counts.set(name, (counts.get(name) ?? 0) + 1)
      if (open.length > 0) {
        unclassified += 1
        if (values.script !== undefined) for (const difference of open) console.log(shown(difference))
        for (const kind of new Set(open.map(kindOf))) {
          const group = groups.get(kind) ?? { count: 0, seeds: [], example: shown(open.find(one => kindOf(one) === kind)!) }
          groups.set(kind, group)
          group.count += 1
          if (group.seeds.length < seedsShown) group.seeds.push(seed)
        }
      }
    }
  } finally {
    await ours.stop()
    await theirs.stop()
  }
  for (const [kind, { count, seeds, example }] of [...groups].sort(([, a], [, b]) => b.count - a.count))
    console.log(`no rule: ${kind}: ${count} scripts (${seeds.join(', ')}), such as ${example}`)
  const total = last - from + 1
  for (const rule of rules) {
    const count = counts.get(rule.name) ?? 0
    console.log(`${String(count).padStart(6)}  ${((100 * count) / total).toFixed(2).padStart(5)} %  ${rule.name}`)
  }
  console.log(`${total} scripts, ${steps} steps, ${rules.length} rules, ${unclassified} scripts with differences that no rule allows`)
  if (unclassified > 0) process.exitCode = 1
}

function kindOf({ kind, packet, field, action }: Difference): string {
  return `${kind} ${packet} ${field} at ${action.do}${action.do === 'misbehave' ? ` ${action.kind}` : ''}`
}

function shown({ script, step, action, who, kind, packet, field, ours, theirs }: Difference): string {
  const text = (value: unknown): string => JSON.stringify(value)?.slice(0, 160) ?? 'nothing'
  return `step ${step} of ${script.steps.length} ${text(action)}: client ${who} (version ${script.clients[who]!.version}) ${kind} ${packet} ${field}: ours ${text(ours)}, theirs ${text(theirs)}`
}
