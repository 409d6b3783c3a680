import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type AnswerTrouble, answerRounds, answerTroubles } from './answers.ts'
import { attacks, runAttack } from './attacks.ts'
import { backupUnderLoad } from './backup-under-load.ts'
import { type BridgePromise, type BridgeTrouble, bridgePromises, bridgeRounds, bridgeTroubles } from './bridge-rounds.ts'
import { lifeSeconds, wrongClock } from './clocks.ts'
import { type ClusterFault, clusterFaults, clusterRounds } from './cluster-faults.ts'
import { emptiedRounds } from './emptied-rounds.ts'
import { onDisk, onMemory, onRedis } from './fault-stores.ts'
import { type FaultOutcome, type FaultStore, killPoint, killRounds, randomFrom, type SingleFault } from './faults.ts'
import { logRounds } from './log-rounds.ts'
import { retainedStorm } from './retained-storm.ts'
import { buildVersion, rollingUpgrade } from './rolling-upgrade.ts'
import { verdictRounds } from './verdict-rounds.ts'
import { type WebhookPromise, type WebhookTrouble, webhookPromises, webhookRounds, webhookTroubles } from './webhook-rounds.ts'
import { type WorkerFault, workerFaults, workerRounds } from './worker-faults.ts'

const usage = `npm run fault [-- options]     kill -9 in the midst of traffic, again and again: what was acknowledged must be there
  --store NAME      disk, redis or memory (default disk)
  --what NAME       what dies: broker; clocks, the same with wall clocks that are wrong and are set; or of Redis: kill, freeze,
                    empty (it loses all that it held), verdict (it is there and refuses something); or log: who reads the broker's lines (default broker)
  --workers N       one broker of N workers on disk; --what is worker (default), supervisor or all: which of its processes is killed
  --change          with --workers: at each start of the broker N or N + 1 workers by turns, and migrate moves what is there
  --cluster NAME    three brokers on one Redis in place of one: kill, freeze, cut (off from Redis), clocks, connections or failover
  --answers NAME    what CONNACK, SUBACK and UNSUBACK promise over several brokers: none, or with trouble in each round: freeze, cut, away (Redis)
  --nodes N         brokers, with --answers (default 2)
  --away MS         how long one is frozen or cut off (default 10000)
  --upgrade TAG     three brokers on one Redis, each replaced by this version in turn while messages pass, and the other way round between rounds (default of --rounds: 1)
  --back            with --upgrade: the last round goes back, too
  --backup          a backup of a broker on disk that acknowledges --rate messages a second, restored elsewhere and read out
  --rate N          messages a second, with --backup (default 1000)
  --bridge NAME     two brokers with an MQTT bridge between them that carries everything both ways, by what it promises: local, remote (ack), or once (exactly once)
  --webhooks NAME   a broker that posts what is published to a server that dies, hangs and lies, by what an acknowledgement waits for: local, remote
  --trouble NAME    with --webhooks, in each round: broker, server, both (kill -9), frozen, lies, away (killed for --away); default: one of the first five by turns of chance
                    with --bridge, in each round: near, far, both (kill -9), frozen, restart, away (killed for --away); default: one of them by turns of chance
  --messages N      with --bridge and --webhooks: messages of each of four publishers and two QoS in a round (default 300)
  --away MS         how long one is frozen, cut off or away (default 10000)
  --storm           20,000 retained messages, and up to 400 clients that ask for all of them and read nothing, in place of kills
  --attack NAME     what a hostile client costs, and what a bystander sees of it, in place of kills: filters, topics, properties, groups, http, refused, or all
  --heap MIB        the broker's heap with --storm, with limits.memory.max=auto (default: as Node has it)
  --rounds N        rounds of kill -9 (default 50)
  --seed N          when it is killed; printed, so that a run can be repeated
  --points          a kill behind each write of one QoS 1 and one QoS 2 exchange, in place of rounds`

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'disk' },
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string' },
    what: { type: 'string', default: 'broker' },
    workers: { type: 'string' },
    change: { type: 'boolean', default: false },
    cluster: { type: 'string' },
    answers: { type: 'string' },
    nodes: { type: 'string', default: '2' },
    away: { type: 'string', default: '10000' },
    bridge: { type: 'string' },
    webhooks: { type: 'string' },
    trouble: { type: 'string' },
    messages: { type: 'string', default: '300' },
    points: { type: 'boolean', default: false },
    upgrade: { type: 'string' },
    back: { type: 'boolean', default: false },
    backup: { type: 'boolean', default: false },
    rate: { type: 'string', default: '1000' },
    storm: { type: 'boolean', default: false },
    attack: { type: 'string' },
    heap: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed)
const onOwnRedis: Record<string, typeof emptiedRounds> = { empty: emptiedRounds, verdict: verdictRounds }
const stores: Record<string, () => FaultStore | Promise<FaultStore>> = { disk: onDisk, redis: () => onRedis(), memory: onMemory }

if (values.help) console.log(usage)
else {
  const create = stores[values.store]
  if (create === undefined) throw new Error(`--store: ${values.store} is not known; it is one of ${Object.keys(stores).join(', ')}`)
  execFileSync(process.execPath, [fileURLToPath(new URL('../../.ci/prepare.mjs', import.meta.url))], { stdio: 'inherit' })
  const program = fileURLToPath(new URL('../../dist/presets/bin.js', import.meta.url))
  if (values.workers !== undefined) await ofWorkers(program, Number(values.workers))
  else if (values.upgrade !== undefined) await upgrade(program, values.upgrade)
  else if (values.backup) await backup(program)
  else if (values.bridge !== undefined) await bridge(program, values.bridge as BridgePromise)
  else if (values.webhooks !== undefined) await webhooks(program, values.webhooks as WebhookPromise)
  else if (values.answers !== undefined) await answers(program, values.answers as AnswerTrouble)
  else if (values.cluster !== undefined) await overNodes(program, values.cluster as ClusterFault)
  else if (values.storm) await storm(program)
  else if (values.what in onOwnRedis) await onRedisItself(program, values.what)
  else if (values.attack !== undefined) await attack(program, values.attack)
  else if (values.points) await points(program, create)
  else await rounds(program, create)
}

async function rounds(program: string, create: () => FaultStore | Promise<FaultStore>): Promise<void> {
  const store = await create()
  const began = performance.now()
  try {
    console.log(`${store.name}: ${values.rounds} rounds, ${values.what} dies, --seed ${seed}`)
    const what = values.what as SingleFault | 'log'
    const random = randomFrom(seed)
    const options = { rounds: Number(values.rounds), random }
    const run = { program, store }
    const clocks = what === 'clocks' ? { clocks: { env: () => wrongClock(random), lifeSeconds } } : {}
    tell(await (what === 'log' ? logRounds(run, options) : killRounds(run, { ...options, what, ...clocks })), began)
  } finally {
    await store.stop()
  }
}

function tell({ acknowledged, received, wrong }: FaultOutcome, began: number): void {
  for (const line of wrong) console.log(line)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`${acknowledged} acknowledged, ${received} received, ${wrong.length} wrong, ${seconds} s`)
  if (wrong.length > 0) process.exitCode = 1
}

async function onRedisItself(program: string, what: string): Promise<void> {
  const began = performance.now()
  console.log(`redis: ${values.rounds} rounds, ${what}, --seed ${seed}`)
  const outcome = await onOwnRedis[what]!(program, { rounds: Number(values.rounds), random: randomFrom(seed) })
  tell(outcome, began)
}

async function bridge(program: string, promise: BridgePromise): Promise<void> {
  if (!bridgePromises.includes(promise)) throw new Error(`--bridge: ${promise} is not known; it is one of ${bridgePromises.join(', ')}`)
  const trouble = values.trouble as BridgeTrouble | undefined
  if (trouble !== undefined && !bridgeTroubles.includes(trouble))
    throw new Error(`--trouble: ${trouble} is not known; it is one of ${bridgeTroubles.join(', ')}`)
  const began = performance.now()
  console.log(`two brokers with a bridge, ${promise}: ${values.rounds} rounds, ${trouble ?? 'all troubles'}, --seed ${seed}`)
  const counts = { rounds: Number(values.rounds), perRound: Number(values.messages), awayMs: Number(values.away) }
  const outcome = await bridgeRounds(program, { promise, trouble, ...counts, random: randomFrom(seed) })
  console.log(`${outcome.repeated} repeated, ${outcome.reordered} reordered`)
  tell(outcome, began)
}

async function ofWorkers(program: string, workers: number): Promise<void> {
  const what = (values.what === 'broker' ? 'worker' : values.what) as WorkerFault
  if (!workerFaults.includes(what)) throw new Error(`--what: with --workers ${what} is not known; it is one of ${workerFaults.join(', ')}`)
  const began = performance.now()
  console.log(`${workers} workers on disk: ${values.rounds} rounds, kill -9 of ${what}, --seed ${seed}`)
  const run = { rounds: Number(values.rounds), random: randomFrom(seed), what, workers, change: values.change }
  const { slowestEndMs, history: _history, ...outcome } = await workerRounds(program, run)
  if (what !== 'worker') console.log(`the last process had gone ${slowestEndMs.toFixed(0)} ms after the supervisor, at worst`)
  tell(outcome, began)
}

async function webhooks(program: string, promise: WebhookPromise): Promise<void> {
  if (!webhookPromises.includes(promise)) throw new Error(`--webhooks: ${promise} is not known; it is one of ${webhookPromises.join(', ')}`)
  const trouble = values.trouble as WebhookTrouble | undefined
  if (trouble !== undefined && !webhookTroubles.includes(trouble))
    throw new Error(`--trouble: ${trouble} is not known; it is one of ${webhookTroubles.join(', ')}`)
  const began = performance.now()
  console.log(`a broker and a server that it posts to, ${promise}: ${values.rounds} rounds, ${trouble ?? 'all troubles'}, --seed ${seed}`)
  const counts = { rounds: Number(values.rounds), perRound: Number(values.messages), awayMs: Number(values.away) }
  const outcome = await webhookRounds(program, { promise, trouble, ...counts, random: randomFrom(seed) })
  console.log(
    `${outcome.repeated} repeated with their ids, ${outcome.sentAgain} sent again by their publishers, ${outcome.reordered} reordered`,
  )
  tell(outcome, began)
}

async function overNodes(program: string, what: ClusterFault): Promise<void> {
  if (!clusterFaults.includes(what)) throw new Error(`--cluster: ${what} is not known; it is one of ${clusterFaults.join(', ')}`)
  const began = performance.now()
  console.log(`three brokers on one Redis: ${values.rounds} rounds, ${what}, --seed ${seed}`)
  const outcome = await clusterRounds(program, {
    rounds: Number(values.rounds),
    random: randomFrom(seed),
    what,
    awayMs: Number(values.away),
  })
  tell(outcome, began)
}

async function upgrade(program: string, tag: string): Promise<void> {
  const old = buildVersion(tag)
  const began = performance.now()
  const count = process.argv.includes('--rounds') ? Number(values.rounds) : 1
  console.log(`three brokers on one Redis, from ${tag} to this version, node by node: ${count} rounds, --seed ${seed}`)
  try {
    const outcome = await rollingUpgrade(program, old, { rounds: count, random: randomFrom(seed), back: values.back })
    console.log(outcome.versions.join('; '))
    tell(outcome, began)
  } finally {
    old.remove()
  }
}

async function backup(program: string): Promise<void> {
  const { rate, during, worst, backupMs, bytes, before, there, missing } = await backupUnderLoad(program, Number(values.rate))
  const ms = (value: number): string => `${value.toFixed(0)} ms`
  console.log(`${rate.toFixed(0)} acknowledged a second, ${during.toFixed(0)} while the backup was made`)
  console.log(`an acknowledgement came after ${ms(worst.calm)} at worst before it, after ${ms(worst.during)} while it was made`)
  console.log(`the backup took ${ms(backupMs)} and has ${(bytes / 2 ** 20).toFixed(1)} MiB`)
  console.log(
    `${before} were acknowledged before the moment that it prints; restored elsewhere ${there} were read, ${missing} of those are missing`,
  )
  if (missing > 0) process.exitCode = 1
}

async function storm(program: string): Promise<void> {
  const heapMiB = values.heap === undefined ? undefined : Number(values.heap)
  console.log(`retained storm: ${values.rounds} rounds, --seed ${seed}${heapMiB === undefined ? '' : `, a heap of ${heapMiB} MiB`}`)
  let wrong = 0
  await retainedStorm(program, {
    rounds: Number(values.rounds),
    random: randomFrom(seed),
    heapMiB,
    onRound(round) {
      const { clients, filters, pingMedianMs, pingMaxMs, calmMaxMs, grownMiB } = round
      const pings = `${pingMedianMs.toFixed(1)} ms in the median, ${pingMaxMs.toFixed(0)} ms at worst (${calmMaxMs.toFixed(0)} before the storm)`
      console.log(
        `${clients} clients, ${filters} filter${filters === 'one' ? '' : 's'}: a ping ${pings}; the process grew by ${grownMiB.toFixed(0)} MiB`,
      )
      for (const line of round.wrong) console.log(line)
      wrong += round.wrong.length
    },
  })
  console.log(`${wrong} wrong`)
  if (wrong > 0) process.exitCode = 1
}

async function attack(program: string, name: string): Promise<void> {
  const names = Object.keys(attacks)
  if (name !== 'all' && !names.includes(name)) throw new Error(`--attack: ${name} is not known; it is one of ${names.join(', ')}, all`)
  for (const one of name === 'all' ? names : [name]) {
    const { figures, pingMedianMs, pingMaxMs, calmMaxMs, delivered, wrong } = await runAttack(program, attacks[one]!)
    for (const figure of figures) console.log(`${one}: ${figure}`)
    console.log(
      `${one}: a bystander's ping ${pingMedianMs.toFixed(1)} ms in the median, ${pingMaxMs.toFixed(0)} ms at worst (${calmMaxMs.toFixed(0)} before), ${delivered} of its messages delivered, ${wrong.length} wrong`,
    )
    for (const line of wrong) console.log(line)
    if (wrong.length > 0) process.exitCode = 1
  }
}

async function answers(program: string, trouble: AnswerTrouble): Promise<void> {
  if (!answerTroubles.includes(trouble)) throw new Error(`--answers: ${trouble} is not known; it is one of ${answerTroubles.join(', ')}`)
  const began = performance.now()
  console.log(`${values.nodes} brokers on one Redis: ${values.rounds} rounds of what answers promise, trouble: ${trouble}, --seed ${seed}`)
  const { answers, wrong, slowestMs } = await answerRounds(program, {
    nodes: Number(values.nodes),
    rounds: Number(values.rounds),
    random: randomFrom(seed),
    trouble,
    timed: true,
  })
  for (const line of wrong) console.log(line)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`${answers} answers, the slowest after ${slowestMs.toFixed(0)} ms, ${wrong.length} wrong, ${seconds} s`)
  if (wrong.length > 0) process.exitCode = 1
}

async function points(program: string, create: () => FaultStore | Promise<FaultStore>): Promise<void> {
  for (let at = 1; ; at++) {
    const store = await create()
    try {
      const outcome = await killPoint({ program, store }, at)
      if (outcome === null) {
        console.log(`${at - 1} points`)
        return
      }
      console.log(`point ${at}: ${outcome.acknowledged} acknowledged, ${outcome.received} received, ${outcome.wrong.length} wrong`)
      for (const line of outcome.wrong) console.log(line)
      if (outcome.wrong.length > 0) process.exitCode = 1
    } finally {
      await store.stop()
    }
  }
}
