import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runBridge } from './bridge/run.ts'
import { type BrokerKind, besideKind, brokerKinds, startBroker } from './brokers.ts'
import { runCluster } from './cluster/run.ts'
import { compareCheckouts } from './compare.ts'
import { runDurable } from './durable/run.ts'
import { runLimits } from './limits.ts'
import { LoadProcess } from './load/load-process.ts'
import { runMqload } from './load/mqload.ts'
import type { LoadResult } from './load/workload.ts'
import { runSuite } from './mqttbs/run.ts'
import { canPin } from './pin.ts'
import { type Measured, tableOf, writeReport } from './report.ts'
import { type Scenario, scenarios } from './scenarios.ts'
import { runTransports } from './transports/run.ts'
import { cpuSeconds, memory } from './usage.ts'
import { runWorkers } from './workers/run.ts'

const usage = `npm run bench [-- options]      compare this broker with mosquitto, aedes, and FlashMQ where FLASHMQ_BIN names its binary, on the same work
  --only ID,ID      scenarios whose id begins so; --list names them
  --brokers A,B     default: all that are installed; mqttx-broker+topicSecurity and +metrics only if they are named
  --beside DIR      another checkout of this broker too, which has to be built, as one more row of the table
  --compare DIR     this checkout against that one, and that one against itself: what a change has cost, in processor time and at start
  --quick           with --compare: fewer scenarios, messages and rounds, for a first look within two minutes
  --rounds N        alternating runs of each; medians are printed (default 5; with --compare 10, or 3 where it is quick)
  --load mqload     use the load generator in C that MQLOAD names
  --write           write the table to docs/benchmarks.md, that of transports to docs/transports.md, that of mqttbs to docs/benchmarks-mqttbs.md
npm run bench -- limits         this broker alone at its limits: start, fan-out, subscriptions, connections, take-overs, a frozen reader
npm run bench -- transports     TLS and WebSocket beside plain TCP, and beside mosquitto's
npm run bench -- durable        what keeping costs: memory, disk and Redis beside mosquitto's file and aedes on Redis; --only away-one,pairs,kept,return
npm run bench -- cluster        several brokers as one: pairs across nodes, growth with nodes and filters, how soon the others know
npm run bench -- workers        one process beside 2 and 4 workers, all on one core: pairs at one worker and at two, fan-out, fan-in, a shared group; --only ID,ID
npm run bench -- mqttbs         the four cases of the Open MQTT Benchmark Suite at fixed rates, with one process and with workers, and the Java original's six, beside published figures
npm run bench -- bridge         bridging to a real Kafka, beside kafkajs that sends the same by itself`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    brokers: { type: 'string' },
    beside: { type: 'string' },
    compare: { type: 'string' },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    load: { type: 'string', default: 'own' },
    write: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const only = values.only?.split(',')
const rounds = Number(values.rounds ?? 5)

if (values.help) console.log(usage)
else if (values.list) for (const { id, title } of scenarios) console.log(`${id.padEnd(20)} ${title}`)
else {
  execFileSync(process.execPath, [fileURLToPath(new URL('../../.ci/prepare.mjs', import.meta.url))], { stdio: 'inherit' })
  if (positionals[0] === 'limits') await runLimits(only)
  else if (positionals[0] === 'cluster') await runCluster({ only, rounds, write: values.write })
  else if (positionals[0] === 'workers')
    await runWorkers({ only, rounds, mqload: values.load === 'mqload' ? process.env.MQLOAD : undefined })
  else if (positionals[0] === 'mqttbs') await runSuite({ only, brokers: values.brokers?.split(','), rounds, write: values.write })
  else if (positionals[0] === 'bridge') await runBridge({ rounds, write: values.write })
  else if (positionals[0] === 'durable')
    await runDurable({
      only,
      brokers: values.brokers?.split(','),
      rounds,
      write: values.write,
    })
  else if (positionals[0] === 'transports') await runTransports({ only, rounds, write: values.write })
  else if (values.compare !== undefined)
    await compareCheckouts(values.compare, {
      only,
      quick: values.quick,
      rounds: values.rounds === undefined ? (values.quick ? 3 : 10) : rounds,
      run: measure,
    })
  else await compareBrokers()
}

async function compareBrokers(): Promise<void> {
  const wanted = values.brokers?.split(',')
  const kinds = brokerKinds.filter(({ name, optional }) => (wanted === undefined ? optional !== true : wanted.includes(name)))
  if (values.beside !== undefined) kinds.push(besideKind(values.beside))
  const installed = kinds.filter(kind => kind.version() !== undefined)
  for (const kind of kinds)
    if (!installed.includes(kind)) console.error(`${kind.name} is left out: it is not installed, or no variable names its binary`)
  console.error(installed.map(kind => `${kind.name} ${kind.version()}`).join(', '), `· Node ${process.version} · ${cpus()[0]?.model}`)
  if (!canPin) console.error('broker and load share their cores here: there is one only, or no taskset')

  const chosen = scenarios.filter(({ id }) => only === undefined || only.some(start => id.startsWith(start)))
  const measured: Measured[] = []
  for (const scenario of chosen) {
    for (let round = 0; round < rounds; round++) {
      for (const kind of installed) {
        if (scenario.without?.includes(kind.name)) continue
        const one = await measure(kind, scenario)
        console.error(`${scenario.id} ${round + 1} ${kind.name}: ${one.cpuMicros.toFixed(2)} µs/msg, ${Math.round(one.perSecond)}/s`)
        measured.push(one)
      }
    }
  }
  console.log(tableOf(chosen, installed, measured))
  if (values.write) writeReport(chosen, installed, measured)
}

async function measure(kind: BrokerKind, scenario: Scenario): Promise<Measured> {
  const { workload, warmUp } = scenario
  const broker = await startBroker(kind)
  let load: LoadProcess | undefined
  try {
    let run: (messages: number) => Promise<LoadResult>
    if (values.load === 'mqload') {
      const binary = process.env.MQLOAD
      if (binary === undefined) throw new Error('--load mqload: say where it is by the environment variable MQLOAD')
      run = messages => runMqload(binary, broker, workload, messages)
    } else {
      const own = await LoadProcess.open(broker.port, workload)
      load = own
      run = messages => own.run(messages)
    }
    if (warmUp > 0) await run(warmUp)
    const cpuBefore = cpuSeconds(broker.pid)
    const result = await run(workload.messages)
    const cpu = result.brokerCpuSeconds ?? cpuSeconds(broker.pid) - cpuBefore
    return {
      scenario: scenario.id,
      broker: kind.name,
      cpuMicros: (cpu * 1e6) / result.messages,
      perSecond: result.messages / result.seconds,
      brokerCpu: cpu / result.seconds,
      loadCpu: result.loadCpu,
      p50: result.p50,
      p99: result.p99,
      peakMiB: memory(broker.pid).peak,
    }
  } finally {
    load?.stop()
    await broker.stop()
  }
}
