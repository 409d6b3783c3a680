import { brokerKinds, type RunningProcess } from '../brokers.ts'
import { Connection } from '../load/connection.ts'
import { LoadProcess } from '../load/load-process.ts'
import * as packets from '../load/packets.ts'
import type { LoadResult, Workload } from '../load/workload.ts'
import { median, writeBelow } from '../report.ts'
import { answers } from './answers.ts'
import { BenchCluster } from './nodes.ts'
import { owners } from './owners.ts'

const pairs = 100
const base: Workload = {
  kind: 'pairs',
  publishers: pairs,
  subscribers: pairs,
  messages: 2000,
  payload: 64,
  qos: 0,
  window: 20,
  rate: 0,
  cleanSession: true,
}

interface Cost {
  readonly title: string
  readonly perSecond: number
  /** Microseconds of processor time a message: the publishers' node, the subscribers', all others together, Redis. */
  readonly from: number
  readonly to: number
  readonly others: number
  readonly redis: number
  readonly redisCommands: number
  readonly p50: number | null
  readonly p99: number | null
}

export interface ClusterOptions {
  /** `across`, `growth`, `retained`, `answers`, `owners`; default all. */
  readonly only?: readonly string[] | undefined
  readonly rounds: number
  readonly write: boolean
}

export async function runCluster({ only, rounds, write }: ClusterOptions): Promise<void> {
  const wanted = (part: string): boolean => only?.includes(part) ?? true
  const parts: string[] = []
  const say = (part: string): void => {
    console.log(`${part}\n`)
    parts.push(part)
  }
  if (wanted('across')) say(`**Pairs on one node, and across two**\n\n${costTable(await repeated(rounds, across))}`)
  if (wanted('growth'))
    say(
      `**Growth: publishers and their subscribers on one node, more nodes and filters elsewhere**\n\n${costTable(await repeated(rounds, growth))}`,
    )
  if (wanted('retained')) say(`**Retained messages and routes**\n\n${await retained(rounds)}`)
  if (wanted('answers')) say(`**What answers wait for**\n\n${await answers(rounds)}`)
  if (wanted('owners')) say(`**Sessions that go from node to node**\n\n${await owners(rounds)}`)
  if (write) writeBelow('scaling.md', 'cluster --write', brokerKinds.slice(0, 1), rounds, parts.join('\n\n'))
}

/** The medians of the same measurements, made several times. */
async function repeated(rounds: number, measure: () => Promise<Cost[]>): Promise<Cost[]> {
  const all: Cost[][] = []
  for (let round = 0; round < rounds; round++) all.push(await measure())
  return all[0]!.map(({ title }, i) => {
    const of = (key: Exclude<keyof Cost, 'title'>): number =>
      median(all.map(costs => costs[i]![key]).filter(value => value !== null) as number[])
    const p50 = of('p50')
    const p99 = of('p99')
    return {
      title,
      perSecond: of('perSecond'),
      from: of('from'),
      to: of('to'),
      others: of('others'),
      redis: of('redis'),
      redisCommands: of('redisCommands'),
      p50: Number.isNaN(p50) ? null : p50,
      p99: Number.isNaN(p99) ? null : p99,
    }
  })
}

async function across(): Promise<Cost[]> {
  const costs: Cost[] = []
  for (const qos of [0, 1] as const) {
    const workload = { ...base, qos }
    const paced = { ...workload, messages: 100, rate: 2000, window: 0 }
    for (const [nodes, to, where] of [
      [0, 0, 'one broker, no cluster'],
      [2, 0, 'on one node of two'],
      [2, 1, 'across two nodes'],
    ] as const) {
      const cluster = await BenchCluster.start(nodes)
      try {
        costs.push(await measure(cluster, to, workload, `QoS ${qos}, ${where}`))
        costs.push(await measure(cluster, to, paced, `QoS ${qos}, ${where}, 2,000 messages/s`))
      } finally {
        await cluster.stop()
      }
    }
  }
  return costs
}

async function growth(): Promise<Cost[]> {
  const costs: Cost[] = []
  for (const nodes of [1, 3, 6]) {
    const cluster = await BenchCluster.start(nodes)
    const holders: Connection[] = []
    try {
      for (const filters of nodes === 1 ? [0] : [10_000, 100_000]) {
        await hold(cluster.nodes.slice(1), holders, filters)
        for (const qos of [0, 1] as const) {
          const elsewhere = filters === 0 ? '' : `, ${filters.toLocaleString('en-US')} filters elsewhere`
          costs.push(await measure(cluster, 0, { ...base, qos }, `QoS ${qos}, ${nodes === 1 ? '1 node' : `${nodes} nodes`}${elsewhere}`))
        }
        if (nodes > 1)
          costs.push(
            await measure(
              cluster,
              1,
              base,
              `QoS 0, for one of ${nodes - 1} other nodes, ${filters.toLocaleString('en-US')} filters elsewhere`,
            ),
          )
      }
    } finally {
      for (const holder of holders) holder.destroy()
      await cluster.stop()
    }
  }
  return costs
}

async function measure(cluster: BenchCluster, to: number, workload: Workload, title: string): Promise<Cost> {
  const from = cluster.nodes[0]!
  const load = await LoadProcess.open(from.port, { ...workload, subscriberPort: cluster.nodes[to]!.port })
  try {
    // The other node's routes are known 300 ms after its SUBACKs.
    await settle(500)
    await load.run(Math.max(20, workload.messages / 10))
    const [before, commands] = [cluster.cpu, await cluster.commands()]
    const result: LoadResult = await load.run(workload.messages)
    const [after, commandsAfter] = [cluster.cpu, await cluster.commands()]
    const micros = (seconds: number): number => (seconds * 1e6) / result.messages
    const nodes = after.nodes.map((cpu, i) => cpu - before.nodes[i]!)
    const others = nodes.reduce((sum, cpu, i) => sum + (i === 0 || i === to ? 0 : cpu), 0)
    const cost: Cost = {
      title,
      perSecond: result.messages / result.seconds,
      from: micros(nodes[0]!),
      to: to === 0 ? 0 : micros(nodes[to]!),
      others: micros(others),
      redis: micros(after.redis - before.redis),
      redisCommands: (commandsAfter - commands) / result.messages,
      p50: result.p50,
      p99: result.p99,
    }
    console.error(
      `${title}: ${Math.round(cost.perSecond)}/s, ${cost.from.toFixed(2)} + ${cost.to.toFixed(2)} µs, Redis ${cost.redis.toFixed(2)} µs`,
    )
    return cost
  } finally {
    load.stop()
  }
}

/** Clients of these nodes hold so many filters in all. */
async function hold(others: readonly RunningProcess[], holders: Connection[], filters: number): Promise<void> {
  const nothing = (): void => {}
  const perClient = 1000
  for (let i = holders.length; i < filters / perClient; i++) {
    const holder = new Connection(others[i % others.length]!.port, i, {
      delivered: nothing,
      acked: nothing,
      drained: nothing,
      closed: nothing,
    })
    holders.push(holder)
    await holder.connect(packets.connect(`holder-${i}`, true))
    const names = Array.from({ length: perClient }, (_, k) => (k % 10 === 0 ? `held/${i}/+/${k}` : `held/${i}/of/${k}`))
    await holder.ask(packets.subscribe(names, 0), 9)
  }
  await settle(1500)
}

/** How soon the other node has a retained message and a route, and what a route weighs there. */
async function retained(rounds: number): Promise<string> {
  const cluster = await BenchCluster.start(2)
  const seen: number[] = []
  const routed: number[] = []
  const [a, b] = cluster.nodes
  let delivered: (() => void) | null = null
  let acked: (() => void) | null = null
  const listener = { delivered: () => delivered?.(), acked: () => acked?.(), drained: () => {}, closed: () => {} }
  const holders: Connection[] = []
  try {
    const writer = new Connection(a!.port, 0, listener)
    await writer.connect(packets.connect('writer', true))
    const reader = new Connection(b!.port, 1, listener)
    await reader.connect(packets.connect('reader', true))
    for (let i = 0; i < 40 * rounds; i++) {
      const message = packets.publish(`retained/${i}`, Buffer.from('state of the thing'), 1, true)
      message[message.length - 19] = 1
      await new Promise<void>(resolve => {
        acked = resolve
        writer.say(message)
      })
      const kept = performance.now()
      let there = false
      delivered = () => (there = true)
      // Each SUBSCRIBE asks anew for what is retained.
      while (!there) {
        await reader.ask(packets.subscribe([`retained/${i}`], 0), 9)
        await settle(2)
      }
      seen.push(performance.now() - kept)
    }
    for (let i = 0; i < 20 * rounds; i++) {
      await reader.ask(packets.subscribe([`routed/${i}`], 0), 9)
      const granted = performance.now()
      let there = false
      delivered = () => (there = true)
      const message = packets.publish(`routed/${i}`, Buffer.from('are you there'), 0)
      while (!there) {
        writer.say(message)
        await settle(1)
      }
      routed.push(performance.now() - granted)
    }
    delivered = null
    const routes = 100_000
    const before = { memory: cluster.memory(0), cpu: cluster.cpu }
    await hold(cluster.nodes.slice(1), holders, routes)
    const perRoute = ((cluster.memory(0) - before.memory) * 1024 * 1024) / routes
    const { nodes, redis } = cluster.cpu
    const micros = [nodes[0]! - before.cpu.nodes[0]!, nodes[1]! - before.cpu.nodes[1]!, redis - before.cpu.redis].map(seconds =>
      ((seconds * 1e6) / routes).toFixed(1),
    )
    const [one, last] = [(values: number[]) => median(values).toFixed(1), (values: number[]) => Math.max(...values).toFixed(1)]
    return [
      '| | median | worst |',
      '|---|--:|--:|',
      `| a retained message, from its PUBACK until the other node gives it to a new subscriber | ${one(seen)} ms | ${last(seen)} ms |`,
      `| a subscription, from its SUBACK until a message that another node has is delivered | ${one(routed)} ms | ${last(routed)} ms |`,
      '',
      `Each of 100,000 filters takes ${Math.round(perRoute)} bytes of another node's memory; to get known it takes ${micros[1]} µs of processor time at its own node, ${micros[0]} µs at each other one, and ${micros[2]} µs of Redis (1,000 to a SUBSCRIBE).`,
    ].join('\n')
  } finally {
    for (const holder of holders) holder.destroy()
    await cluster.stop()
  }
}

function settle(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

function costTable(costs: readonly Cost[]): string {
  const lines = [
    "| | msg/s | publishers' node, CPU µs/msg | subscribers' node | other nodes | Redis | Redis commands/msg | p50 µs | p99 µs |",
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|',
  ]
  const whole = (value: number | null): string => (value === null ? '' : Math.round(value).toLocaleString('en-US'))
  for (const { title, perSecond, from, to, others, redis, redisCommands, p50, p99 } of costs) {
    const micros = [from, to, others, redis].map(value => value.toFixed(2)).join(' | ')
    lines.push(`| ${title} | ${whole(perSecond)} | ${micros} | ${redisCommands.toFixed(3)} | ${whole(p50)} | ${whole(p99)} |`)
  }
  return lines.join('\n')
}
