import { parseArgs } from 'node:util'
import type { Difference } from './compare.ts'
import { Duel, shown } from './duel.ts'
import { rules } from './rules.ts'

const usage = `npm run differential [-- options]     the same random clients on this broker and on a real mosquitto
  --scripts A-B    seeds of scripts (default 1-1000)
  --script N       one, with all that differs
  --all            prints what rules allow, too`

const { values } = parseArgs({
  options: {
    scripts: { type: 'string', default: '1-1000' },
    script: { type: 'string' },
    all: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const seedsShown = 8

if (values.help) console.log(usage)
else await main()

async function main(): Promise<void> {
  const [first, last = first] = (values.script ?? values.scripts).split('-').map(Number) as [number, number | undefined]
  if (!(first >= 0 && last >= first)) throw new Error(`--scripts: ${values.scripts}; it is one number, or two with - between them`)
  const duel = await Duel.start()
  const counts = new Map<string, number>()
  const groups = new Map<string, { seeds: number[]; example: string }>()
  let withOpen = 0
  let steps = 0
  try {
    for (let seed = first; seed <= last; seed++) {
      const { script, allowed, open } = await duel.play(seed)
      steps += script.steps.length
      for (const name of new Set(allowed.map(({ rule }) => rule.name))) counts.set(name, (counts.get(name) ?? 0) + 1)
      if (values.all) for (const { rule, difference } of allowed) console.log(`${rule.name}: ${shown(difference)}`)
      if (values.script !== undefined) for (const difference of open) console.log(shown(difference))
      if (open.length > 0) withOpen += 1
      for (const difference of open) {
        const seeds = groups.get(kindOf(difference))?.seeds ?? []
        if (seeds.at(-1) !== seed) seeds.push(seed)
        groups.set(kindOf(difference), { seeds, example: shown(difference) })
      }
    }
  } finally {
    await duel.stop()
  }
  const total = last - first + 1
  for (const rule of rules) {
    const count = counts.get(rule.name) ?? 0
    console.log(`${String(count).padStart(6)} ${((100 * count) / total).toFixed(2).padStart(6)} %  ${rule.name}`)
  }
  for (const [kind, { seeds, example }] of [...groups].sort(([, a], [, b]) => b.seeds.length - a.seeds.length))
    console.log(`no rule: ${kind}: ${seeds.length} scripts (${seeds.slice(0, seedsShown).join(', ')}), such as ${example}`)
  console.log(`${total} scripts, ${steps} steps, ${rules.length} rules, ${withOpen} scripts with differences that no rule allows`)
  if (withOpen > 0) process.exitCode = 1
}

function kindOf({ kind, packet, field, action }: Difference): string {
  return [kind, packet, field, 'at', action.do, action.do === 'misbehave' ? action.kind : ''].filter(word => word !== '').join(' ')
}
