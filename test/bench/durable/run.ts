import { connect as mqttConnect } from 'mqtt'
import { LoadProcess } from '../load/load-process.ts'
import type { Workload } from '../load/workload.ts'
import { canPin } from '../pin.ts'
import { median, writeBelow } from '../report.ts'
import { cpuSeconds } from '../usage.ts'
import { BackedBroker, type BackedKind, backedKinds } from './backed.ts'
import { come, leave } from './clients.ts'
import { measureReturn, returnTable } from './return.ts'

const publishers = 1000
const readers = 100

interface DurableScenario {
  readonly id: string
  readonly title: string
  readonly workload: Partial<Workload>
  /** Persistent subscribers who are away and get each message. */
  readonly copies: number
}

const base: Workload = {
  kind: 'publish',
  publishers,
  subscribers: 0,
  messages: 100,
  payload: 256,
  qos: 1,
  window: 1,
  rate: 0,
  cleanSession: true,
}

const online: Partial<Workload> = { cleanSession: false, messages: 40 }

const scenarios: readonly DurableScenario[] = [
  { id: 'away-one', title: 'QoS 1, 256 B, for one subscriber who is away', copies: 1, workload: {} },
  { id: 'away-ten', title: 'QoS 1, 256 B, for ten subscribers who are away', copies: 10, workload: { messages: 40 } },
  { id: 'away-window', title: 'QoS 1, 256 B, window 20, for one who is away', copies: 1, workload: { window: 20 } },
  {
    id: 'pairs',
    title: 'QoS 1, 256 B, 1000 kept sessions that read',
    copies: 0,
    workload: { ...online, kind: 'pairs', subscribers: 1000 },
  },
  {
    id: 'fan-in',
    title: 'QoS 1, 256 B, one kept session that reads all',
    copies: 0,
    workload: { ...online, kind: 'fanIn', subscribers: 1 },
  },
  ...([0, 1, 2] as const).map(qos => ({
    id: `kept-q${qos}`,
    title: `QoS ${qos}, 1 KiB, kept sessions, nobody subscribed`,
    copies: 0,
    workload: { qos, payload: 1024, window: qos === 0 ? 0 : 1, cleanSession: false },
  })),
]

interface Durable {
  readonly cpuMicros: number
  readonly redisMicros: number | null
  readonly perSecond: number
  readonly brokerCpu: number
}

export interface DurableOptions {
  readonly only?: readonly string[] | undefined
  readonly brokers?: readonly string[] | undefined
  readonly rounds: number
  readonly write: boolean
}

/** What it costs to keep what is acknowledged: our stores beside one another, beside mosquitto's file and aedes on Redis. */
export async function runDurable({ only, brokers, rounds, write }: DurableOptions): Promise<void> {
  const kinds = backedKinds.filter(({ name, version }) => version() !== undefined && (brokers?.some(start => name.includes(start)) ?? true))
  const chosen = scenarios.filter(({ id }) => only === undefined || only.some(start => id.startsWith(start)))
  const tables: string[] = []
  if (chosen.length > 0) {
    const found = new Map<string, Durable[]>()
    for (const scenario of chosen) {
      for (let round = 0; round < rounds; round++) {
        for (const kind of kinds) {
          const one = await measure(kind, scenario)
          console.error(`${scenario.id} ${round + 1} ${kind.name}: ${one.cpuMicros.toFixed(1)} µs/msg, ${Math.round(one.perSecond)}/s`)
          const key = `${scenario.id} ${kind.name}`
          found.set(key, [...(found.get(key) ?? []), one])
        }
      }
    }
    tables.push(tableOf(chosen, kinds, found))
  }
  if (only === undefined || only.includes('return')) tables.push(returnTable(await measureReturn(kinds, rounds)))
  const text = tables.join('\n\n')
  console.log(text)
  if (!canPin) console.error('broker and load share their cores here: there is one only, or no taskset')
  if (write) writeBelow('benchmarks-durable.md', 'durable --write', kinds, rounds, text)
}

async function measure(kind: BackedKind, { copies, workload: some }: DurableScenario): Promise<Durable> {
  const workload: Workload = { ...base, ...some }
  const warmUp = 20
  const broker = await BackedBroker.start(kind)
  let load: LoadProcess | undefined
  try {
    if (copies > 0) await subscribeAndLeave(broker.port, copies)
    load = await LoadProcess.open(broker.port, workload)
    await load.run(warmUp)
    const { redis } = broker.backing
    const before = { broker: cpuSeconds(broker.pid), redis: redis === null ? 0 : cpuSeconds(redis.pid) }
    const { seconds, messages } = await load.run(workload.messages)
    const cpu = cpuSeconds(broker.pid) - before.broker
    if (copies > 0) await expectKept(broker, ((warmUp + workload.messages) * publishers * copies) / readers)
    return {
      cpuMicros: (cpu * 1e6) / messages,
      redisMicros: redis === null ? null : ((cpuSeconds(redis.pid) - before.redis) * 1e6) / messages,
      perSecond: messages / seconds,
      brokerCpu: cpu / seconds,
    }
  } finally {
    load?.stop()
    await broker.stop()
  }
}

/** A hundred persistent subscribers, each of which gets `copies` hundredths of all messages; then they go. */
async function subscribeAndLeave(port: number, copies: number): Promise<void> {
  const each = (publishers * copies) / readers
  const sockets = []
  for (let reader = 0; reader < readers; reader++) {
    const filters = Array.from({ length: each }, (_, i) => `bench/${(reader * (publishers / readers) + i) % publishers}/data`)
    sockets.push(await come(port, `reader-${reader}`, { filters }))
  }
  await leave(sockets)
}

/** What was kept for one of them is all there: without that, a figure says nothing. */
async function expectKept({ kind, port, backing }: BackedBroker, expected: number): Promise<void> {
  const reader = 'reader-0'
  if (kind.storedFor !== undefined) {
    // aedes acknowledges before all of it is written.
    const until = performance.now() + 60_000
    let stored = 0
    while ((stored = await kind.storedFor(backing, reader)) < expected) {
      if (performance.now() > until) throw new Error(`${kind.name} holds ${stored} of the ${expected} messages for ${reader}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return
  }
  const client = mqttConnect({ port, host: '127.0.0.1', clientId: reader, clean: false, reconnectPeriod: 0 })
  let count = 0
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${reader} got ${count} of the ${expected} messages kept for it`)), 60_000)
      client.on('error', reject)
      client.on('message', () => {
        count += 1
        if (count < expected) return
        clearTimeout(late)
        resolve()
      })
    })
  } finally {
    client.end(true)
  }
}

function tableOf(chosen: readonly DurableScenario[], kinds: readonly BackedKind[], found: ReadonlyMap<string, readonly Durable[]>): string {
  const lines = ['| scenario | broker | CPU µs/msg | of Redis, µs/msg | msg/s | × aedes | broker CPU |', '|---|---|--:|--:|--:|--:|--:|']
  for (const { id, title } of chosen) {
    const of = (name: string, key: keyof Durable) =>
      median((found.get(`${id} ${name}`) ?? []).flatMap(one => (one[key] === null ? [] : [one[key]])))
    const base = of('aedes, redis', 'perSecond')
    for (const { name, needsRedis } of kinds) {
      const rate = of(name, 'perSecond')
      const redis = needsRedis ? of(name, 'redisMicros').toFixed(1) : ''
      const times = Number.isNaN(base) ? '' : (rate / base).toFixed(1)
      lines.push(
        `| ${title} | ${name} | ${of(name, 'cpuMicros').toFixed(1)} | ${redis} | ${Math.round(rate).toLocaleString('en-US')} | ${times} | ${Math.round(of(name, 'brokerCpu') * 100)} % |`,
      )
    }
  }
  return lines.join('\n')
}
