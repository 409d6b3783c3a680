import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { type BrokerKind, brokerKinds, type RunningProcess, startBroker } from './brokers.ts'
import { Connection, type Listener } from './load/connection.ts'
import { LoadProcess } from './load/load-process.ts'
import * as packets from './load/packets.ts'
import type { Workload } from './load/workload.ts'
import { Probe } from './probe.ts'
import { median } from './report.ts'
import { cpuSeconds, memory } from './usage.ts'

const ours = brokerKinds[0]!
const base: Workload = {
  kind: 'fanOut',
  publishers: 1,
  subscribers: 1,
  messages: 1,
  payload: 1024,
  qos: 0,
  window: 4,
  rate: 0,
  cleanSession: true,
}

/** What this broker does at its limits, each a line of figures. */
const limits: Record<string, () => Promise<string[]>> = {
  start: startToReady,
  'fan-out': fanOut,
  subscriptions,
  connections,
  'take-overs': takeOvers,
  'frozen-reader': frozenReader,
}

export async function runLimits(only?: readonly string[]): Promise<void> {
  for (const [name, run] of Object.entries(limits)) {
    if (only !== undefined && !only.some(start => name.startsWith(start))) continue
    for (const line of await run()) console.log(`${name}: ${line}`)
  }
}

async function withBroker(run: (broker: RunningProcess) => Promise<string[]>): Promise<string[]> {
  const broker = await startBroker(ours)
  try {
    return await run(broker)
  } finally {
    await broker.stop()
  }
}

/** From the command to its `ready` line. */
async function startToReady(): Promise<string[]> {
  const millis: number[] = []
  for (let i = 0; i < 7; i++) millis.push(await readyOnce(ours))
  return [`from the command to ready: median ${median(millis).toFixed(0)} ms of ${millis.map(ms => ms.toFixed(0)).join(', ')}`]
}

/** Milliseconds from the command to its `ready` line, of this broker or of another checkout of it. */
export function readyOnce(kind: BrokerKind): Promise<number> {
  const began = performance.now()
  // Not pinned: a user's start has all the cores that there are.
  const [command, ...args] = kind.command(0)
  const child = spawn(command!, [...args.slice(0, -1), 'log.level=info'], { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let text = ''
    let ready: number | undefined
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      if (ready !== undefined || !text.includes('ready')) return
      ready = performance.now() - began
      child.kill('SIGTERM')
    })
    child.on('exit', code => (ready === undefined ? reject(new Error(`it ended with ${code}: ${text}`)) : resolve(ready)))
  })
}

/** One message to 1,000 subscribers and to 10,000: what a delivery costs, and whether others notice. */
async function fanOut(): Promise<string[]> {
  const costs: number[] = []
  const lines: string[] = []
  for (const subscribers of [1000, 10_000]) {
    const workload = { ...base, subscribers, messages: 2_000_000 / subscribers }
    lines.push(
      ...(await withBroker(async broker => {
        const load = await LoadProcess.open(broker.port, workload)
        await load.run(workload.messages / 10)
        const probe = await Probe.start(broker.port)
        const before = cpuSeconds(broker.pid)
        const { messages, seconds } = await load.run(workload.messages)
        const micros = ((cpuSeconds(broker.pid) - before) * 1e6) / messages
        costs.push(micros)
        const said = await probe.stop()
        load.stop()
        const peak = memory(broker.pid).peak.toFixed(0)
        return [
          `1 KiB to ${subscribers} subscribers: ${micros.toFixed(2)} µs of CPU a delivery, ${Math.round(messages / seconds)}/s, peak ${peak} MiB; ${said}`,
        ]
      })),
    )
  }
  lines.push(`a delivery among 10,000 costs ${(costs[1]! / costs[0]!).toFixed(2)} of one among 1,000`)
  return lines
}

/** 100,000 wildcard filters: how long subscribing takes, and what a publish costs then. */
async function subscriptions(): Promise<string[]> {
  const costs: number[] = []
  const lines: string[] = []
  for (const filters of [1, 1000]) {
    const workload: Workload = {
      ...base,
      kind: 'wildcards',
      publishers: 100,
      subscribers: 100,
      filters,
      payload: 64,
      window: 20,
      messages: 4000,
    }
    lines.push(
      ...(await withBroker(async broker => {
        const probe = await Probe.start(broker.port)
        const began = performance.now()
        const load = await LoadProcess.open(broker.port, workload)
        const openSeconds = (performance.now() - began) / 1000
        const said = await probe.stop()
        await load.run(500)
        const before = cpuSeconds(broker.pid)
        const { messages, seconds } = await load.run(workload.messages)
        const micros = ((cpuSeconds(broker.pid) - before) * 1e6) / messages
        costs.push(micros)
        load.stop()
        const peak = memory(broker.pid).peak.toFixed(0)
        return [
          `${100 * filters} wildcard filters (a load process, 200 connections and SUBSCRIBE in ${openSeconds.toFixed(2)} s; ${said}): ${micros.toFixed(2)} µs of CPU a message, ${Math.round(messages / seconds)}/s, peak ${peak} MiB`,
        ]
      })),
    )
  }
  lines.push(`a message past 100,000 filters costs ${(costs[1]! / costs[0]!).toFixed(2)} of one past 100`)
  return lines
}

/** 10,000 connections: how fast, how heavy, whether others notice, and how long the good-bye takes. */
async function connections(): Promise<string[]> {
  const broker = await startBroker(ours)
  try {
    const before = memory(broker.pid).now
    const probe = await Probe.start(broker.port)
    const load = await LoadProcess.open(broker.port, { ...base, kind: 'connect', publishers: 10_000 })
    const { seconds } = await load.run(1)
    const said = await probe.stop()
    await new Promise(resolve => setTimeout(resolve, 2000))
    const kib = ((memory(broker.pid).now - before) * 1024) / 10_000
    const began = performance.now()
    await broker.stop()
    const stopSeconds = (performance.now() - began) / 1000
    load.stop()
    return [
      `10,000 connected in ${seconds.toFixed(2)} s (${Math.round(10_000 / seconds)}/s); ${said}`,
      `${kib.toFixed(1)} KiB of memory each while idle`,
      `SIGTERM with 10,000 clients: ended after ${stopSeconds.toFixed(2)} s`,
    ]
  } finally {
    await broker.stop()
  }
}

/** 500 client ids, each claimed by ten connections at once: one is left of each, and nobody else waits long for that. */
async function takeOvers(): Promise<string[]> {
  return withBroker(async broker => {
    const clientIds = 500
    const publishers = 5000
    const load = await LoadProcess.open(broker.port, { ...base, kind: 'takeOver', publishers, clientIds })
    const probe = await Probe.start(broker.port)
    const { seconds } = await load.run(1)
    const said = await probe.stop()
    load.stop()
    return [`${publishers} connections claimed ${clientIds} client ids: one each was left after ${seconds.toFixed(2)} s; ${said}`]
  })
}

/** 200 MB/s to one reader that reads and one that has stopped: memory stays bounded, and nobody else notices. */
async function frozenReader(): Promise<string[]> {
  return withBroker(async broker => {
    let arrived = 0
    const nothing = (): void => {}
    const count: Listener = { delivered: () => void (arrived += 1), acked: nothing, drained: nothing, closed: nothing }
    const reader = new Connection(broker.port, 0, count)
    const frozen = new Connection(broker.port, 1, count)
    for (const [name, connection] of Object.entries({ reader, frozen })) {
      await connection.connect(packets.connect(`bench-${name}`, true))
      await connection.ask(packets.subscribe(['bench/#'], 0), 9)
    }
    frozen.freeze()
    const payload = 16_384
    const rate = Math.round(200e6 / payload)
    const load = await LoadProcess.open(broker.port, { ...base, kind: 'publish', subscribers: 0, payload, rate, window: 0 })
    const before = memory(broker.pid).now
    const probe = await Probe.start(broker.port)
    const { seconds, messages } = await load.run(rate * 10)
    const said = await probe.stop()
    const after = memory(broker.pid)
    load.stop()
    reader.destroy()
    frozen.destroy()
    const megabytes = (messages * payload) / 1e6 / seconds
    return [
      `${megabytes.toFixed(0)} MB/s for ${seconds.toFixed(1)} s beside a reader that has stopped: memory ${before.toFixed(0)} MiB before, ${after.now.toFixed(0)} after, ${after.peak.toFixed(0)} at most; the other reader got ${((arrived / messages) * 100).toFixed(1)} % of ${messages} messages; ${said}`,
    ]
  })
}
