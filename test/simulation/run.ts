import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { drawPlan, type FaultKind, faultKinds, type Plan } from './plan.ts'
import { planOf, scriptOf, shrink } from './shrink.ts'
import { type Outcome, simulate } from './simulate.ts'

const usage = `npm run simulate [-- options]     brokers, clients, disks, network and faults in one process, under one seed
  --seed N         one seed; the last line is the hash of its trace
  --seeds A-B      all of these, one line where something is wrong
  --minutes M      seeds that nobody has run, for so long
  --nodes N        workers of one broker, with their sessions in memory (default 1: one broker)
  --store NAME     memory or disk (default disk)
  --faults A,B     of ${faultKinds.join(', ')}, or none (default all)
  --script FILE    a plan that was cut down, in place of a seed
  --first          stops at the first seed that fails
  --trace          prints all that happens
  --shrink FILE    cuts a failing seed down and writes it there`

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    nodes: { type: 'string', default: '1' },
    store: { type: 'string', default: 'disk' },
    faults: { type: 'string', default: faultKinds.join(',') },
    script: { type: 'string' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'string' },
    first: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const store = values.store as 'memory' | 'disk'
if (!['memory', 'disk'].includes(store)) throw new Error(`--store: ${store} is not known; it is memory or disk`)
const nodes = Number(values.nodes)
if (!(nodes >= 1 && nodes <= 7)) throw new Error(`--nodes: ${values.nodes}; it is 1 to 7`)
if (nodes > 1 && store !== 'memory') throw new Error('--nodes: workers have their sessions in memory here; add --store memory')
const faults = (values.faults === 'none' ? [] : values.faults.split(',')) as FaultKind[]
for (const kind of faults)
  if (!faultKinds.includes(kind)) throw new Error(`--faults: ${kind} is not known; there are ${faultKinds.join(', ')}`)
const draw = (seed: number): Plan => drawPlan({ seed, nodes, store, faults })

if (values.help) console.log(usage)
else if (values.minutes !== undefined) await forMinutes(Number(values.minutes))
else if (values.seeds !== undefined) await through(values.seeds)
else
  await one(values.script === undefined ? draw(Number(values.seed ?? Date.now() % 2 ** 31)) : planOf(readFileSync(values.script, 'utf8')))

async function one(plan: Plan): Promise<void> {
  const began = process.cpuUsage()
  const outcome = await simulate(plan, values.trace)
  for (const line of outcome.lines) console.log(line)
  for (const violation of outcome.violations) console.log(`wrong: ${violation}`)
  console.log(`seed ${plan.seed}: ${figures(outcome)}, ${cpuMs(began)} ms of CPU`)
  if (outcome.violations.length > 0) {
    process.exitCode = 1
    if (values.shrink !== undefined) {
      const small = await shrink(plan, 600, text => console.log(text))
      writeFileSync(values.shrink, scriptOf(small))
      console.log(`written to ${values.shrink}: ${small.clients.length} clients, ${small.actions.length} actions`)
    }
  }
  console.log(outcome.hash)
}

async function forMinutes(minutes: number): Promise<void> {
  const until = performance.now() + minutes * 60_000
  await many(function* () {
    for (let seed = Date.now() % 2 ** 31; performance.now() < until; seed++) yield seed
  })
}

async function through(range: string): Promise<void> {
  const [from, to = from] = range.split('-').map(Number)
  await many(function* () {
    for (let seed = from!; seed <= to!; seed++) yield seed
  })
}

async function many(seeds: () => Iterable<number>): Promise<void> {
  const began = process.cpuUsage()
  let [count, wrong, operations, faultsDone, events] = [0, 0, 0, 0, 0]
  for (const seed of seeds()) {
    const outcome = await simulate(draw(seed))
    count += 1
    operations += outcome.operations
    faultsDone += outcome.faults
    events += outcome.events
    if (outcome.violations.length === 0) continue
    wrong += 1
    console.log(`seed ${seed}: ${outcome.violations[0]}`)
    if (values.first) break
  }
  const seconds = cpuMs(began) / 1000
  console.log(
    `${count} seeds, ${wrong} wrong; ${operations} operations, ${faultsDone} faults, ${events} events in ${seconds.toFixed(1)} s of CPU: ${Math.round(operations / seconds)} operations and ${Math.round(faultsDone / seconds)} faults a second`,
  )
  if (wrong > 0) process.exitCode = 1
}

function figures({ operations, faults: count, events, worldMs }: Outcome): string {
  return `${operations} operations, ${count} faults, ${events} events in ${(worldMs / 1000).toFixed(0)} s of the world`
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return Math.round((user + system) / 1000)
}
