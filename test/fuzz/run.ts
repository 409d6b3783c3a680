import { parseArgs } from 'node:util'
import { randomFrom } from '../fault/faults.ts'
import { Arena, type Outcome } from './arena.ts'
import { keep, readCorpus } from './corpus.ts'
import { Maker } from './make.ts'
import { type BrokerName, brokers, type Script, scriptText } from './script.ts'

const usage = `npm run fuzz [-- options]      random clients against a whole broker in memory: nothing they say may harm it
  --seconds N       how long (default 60)
  --seed N          printed, so that a run can be repeated
  --keep            puts scripts that made the broker do something new into test/fuzz/corpus`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

// A broker is old after so many scripts: what they leave in it (sessions, retained messages) is theirs to leave.
const perArena = 300

if (values.help) {
  console.log(usage)
} else {
  // Streams in memory keep no process alive.
  const alive = setInterval(() => {}, 1000)
  await fuzz()
    .catch(error => void console.error(error))
    .finally(() => clearInterval(alive))
}

async function fuzz(): Promise<void> {
  const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed)
  console.log(`${values.seconds} s, --seed ${seed}`)
  const maker = new Maker(randomFrom(seed))
  const known = new Set<string>()
  const corpus: Script[] = []
  for (const script of readCorpus()) {
    const { faults, seen } = await once(script)
    if (faults.length > 0) return found(script, faults)
    for (const token of seen) known.add(token)
    corpus.push(script)
  }
  console.log(`${corpus.length} scripts of the corpus, ${known.size} things seen that the broker does`)
  const until = performance.now() + Number(values.seconds) * 1000
  let arenas = await openAll()
  let count = 0
  let kept = 0
  for (; performance.now() < until; count++) {
    if (count % perArena === perArena - 1) {
      await closeAll(arenas)
      arenas = await openAll()
    }
    const script = maker.script(corpus)
    const { faults, seen } = await arenas[script.broker].run(script)
    if (faults.length > 0) return found(await shrunk(script, faults), faults)
    if (seen.every(token => known.has(token))) continue
    // Alone it may do less: what stays is what does it by itself.
    const alone = await once(script)
    const fresh = alone.seen.filter(token => !known.has(token))
    if (fresh.length === 0) continue
    for (const token of fresh) known.add(token)
    const small = await smallest(script, outcome => fresh.every(token => outcome.seen.includes(token)))
    corpus.push(small)
    kept += 1
    if (values.keep) keep(small, 'seen')
  }
  await closeAll(arenas)
  console.log(`${count} scripts, ${kept} did something new, no fault`)
}

type Arenas = Record<BrokerName, Arena>

async function openAll(): Promise<Arenas> {
  const opened = await Promise.all(brokers.map(async name => [name, await Arena.open(name)] as const))
  return Object.fromEntries(opened) as Arenas
}

async function closeAll(arenas: Arenas): Promise<void> {
  for (const arena of Object.values(arenas)) await arena.close()
}

async function once(script: Script): Promise<Outcome> {
  const arena = await Arena.open(script.broker)
  try {
    return await arena.run(script)
  } finally {
    await arena.close()
  }
}

async function shrunk(script: Script, faults: readonly string[]): Promise<Script> {
  const kind = (fault: string) => fault.split(':')[0]!.replaceAll(/\d+/g, 'n')
  const { faults: alone } = await once(script)
  if (alone.length === 0) {
    console.log('it needs what came before it: repeat the run by its seed')
    return script
  }
  return smallest(script, outcome => outcome.faults.some(fault => kind(fault) === kind(faults[0]!)))
}

async function smallest(script: Script, same: (outcome: Outcome) => boolean): Promise<Script> {
  let { steps } = script
  for (let at = steps.length - 1; at >= 0; at--) {
    const fewer = { ...script, steps: steps.filter((_step, i) => i !== at) }
    if (same(await once(fewer))) steps = fewer.steps
  }
  return { ...script, steps }
}

function found(script: Script, faults: readonly string[]): never {
  console.log(scriptText(script))
  for (const fault of faults) console.log(fault)
  console.log(`kept in ${keep(script, 'found')}`)
  process.exit(1)
}
