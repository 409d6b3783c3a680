import type { Socket } from 'node:net'
import { median } from '../report.ts'
import { cpuSeconds, memory } from '../usage.ts'
import { BackedBroker, type BackedKind } from './backed.ts'
import { come, leave } from './clients.ts'

// Connections that wait for their CONNACK at the same time.
const atOnce = 500
const stored = 100_000
const returning = 10_000

interface Returned {
  readonly kind: string
  /** Milliseconds from the start of the process to its port, with an empty store and with all sessions in it. */
  readonly emptyMs: number
  readonly startMs: number
  readonly emptyMiB: number
  readonly startMiB: number
  readonly perSecond: number
  readonly cpuMicros: number
}

/** Our broker starts on 100,000 stored sessions, and 10,000 of their clients come back at once. */
export async function measureReturn(kinds: readonly BackedKind[], rounds: number): Promise<Returned[]> {
  const measured: Returned[] = []
  const durable = kinds.filter(({ name }) => name === 'mqttx-broker, disk' || name === 'mqttx-broker, redis')
  for (const kind of durable) {
    const broker = await BackedBroker.start(kind)
    try {
      const empty = { ms: broker.startedInMs, miB: memory(broker.pid).now }
      for (let from = 0; from < stored; from += returning) await leave(await all(broker.port, from, { filters: ['a'] }))
      for (let round = 0; round < rounds; round++) {
        await broker.restart()
        const start = { ms: broker.startedInMs, miB: memory(broker.pid).now }
        const before = cpuSeconds(broker.pid)
        const began = performance.now()
        const sockets = await all(broker.port, 0, { present: true })
        const seconds = (performance.now() - began) / 1000
        const cpuMicros = ((cpuSeconds(broker.pid) - before) * 1e6) / returning
        await leave(sockets)
        const perSecond = returning / seconds
        measured.push({
          kind: kind.name,
          emptyMs: empty.ms,
          emptyMiB: empty.miB,
          startMs: start.ms,
          startMiB: start.miB,
          perSecond,
          cpuMicros,
        })
        console.error(`return ${round + 1} ${kind.name}: started in ${Math.round(start.ms)} ms, ${Math.round(perSecond)}/s come back`)
      }
    } finally {
      await broker.stop()
    }
  }
  return measured
}

async function all(port: number, from: number, options: { filters?: readonly string[]; present?: boolean }): Promise<Socket[]> {
  const sockets: Socket[] = []
  let next = from
  const one = async (): Promise<void> => {
    while (next < from + returning) sockets.push(await come(port, `client-${next++}`, options))
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return sockets
}

export function returnTable(measured: readonly Returned[]): string {
  const lines = [
    '| 100,000 stored sessions | start, empty | start | memory, empty | memory | 10,000 come back | CPU µs/connect |',
    '|---|--:|--:|--:|--:|--:|--:|',
  ]
  for (const kind of new Set(measured.map(one => one.kind))) {
    const of = (key: Exclude<keyof Returned, 'kind'>) =>
      Math.round(median(measured.filter(one => one.kind === kind).map(one => one[key]))).toLocaleString('en-US')
    lines.push(
      `| ${kind} | ${of('emptyMs')} ms | ${of('startMs')} ms | ${of('emptyMiB')} MiB | ${of('startMiB')} MiB | ${of('perSecond')}/s | ${of('cpuMicros')} |`,
    )
  }
  return lines.join('\n')
}
