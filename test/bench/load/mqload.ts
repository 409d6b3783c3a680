import { execFile } from 'node:child_process'
import { pinned } from '../pin.ts'
import type { LoadResult, Workload } from './workload.ts'

const commands: Partial<Record<Workload['kind'], string>> = {
  publish: 'pub',
  pairs: 'pairs',
  fanOut: 'fanout',
  fanIn: 'fanin',
  shared: 'shared',
  connect: 'conn',
  store: 'retained',
  retained: 'retained',
}

/** Runs a workload by the load generator in C that `MQLOAD` names: it can load a broker that the one in TypeScript cannot. */
export function runMqload(
  binary: string,
  { port, pid }: { readonly port: number; readonly pid: number },
  workload: Workload,
  messages: number,
): Promise<LoadResult> {
  const { kind, publishers, subscribers, payload, qos, window, rate, cleanSession, inTurn = false } = workload
  const name = commands[kind]
  if (name === undefined) throw new Error(`mqload cannot do ${kind}`)
  // It stores and gives in one run; what a `retained` load stores is the same whatever the run.
  const stored = kind === 'store' || kind === 'retained'
  const count = kind === 'retained' ? workload.messages : messages
  const args: (string | number)[] = [name, '-p', port, '-s', payload, '-q', stored ? 1 : qos, '-C', cleanSession ? 1 : 0, '-n', count]
  // With its workers.
  args.push('-P', `${pid}+`)
  if (kind !== 'pairs') args.push('-S', kind === 'store' ? 1 : subscribers)
  args.push('-c', stored ? 1 : publishers)
  // A topic that is new in each run.
  if (kind === 'store') args.push('-t', `mqload/${messages}/%m/state`, '--filter', 'mqload/none/#', '--grace', 0)
  if ((qos > 0 || stored) && window > 0) args.push('-w', window)
  if (qos === 0 && window > 0 && kind !== 'publish' && !stored) args.push('-f', window)
  if (rate > 0) args.push('-r', rate, '--lat-skip', '0.5')
  if (inTurn) args.push('-i', 1)
  else if (kind === 'connect') args.push('-i', 100)
  const [command, ...rest] = pinned('load', [binary, ...args.map(String)])
  return new Promise((resolve, reject) => {
    execFile(command!, rest, { timeout: 300_000 }, (error, output) => {
      let found: Record<string, number>
      try {
        found = JSON.parse(output) as Record<string, number>
      } catch {
        reject(error ?? new Error('mqload printed no figures'))
        return
      }
      const of = kind === 'store' ? 'pub_' : ''
      const seconds = found[`${of}secs`]!
      const done = Math.round(found[`${of}msgs_per_s`]! * seconds)
      resolve({
        seconds,
        messages: done,
        expected: kind === 'store' ? messages : Math.round(found.received ?? done),
        brokerCpuSeconds: found[`${of}broker_cpu_s`]!,
        loadCpu: (found.load_cpu_pct ?? 0) / 100,
        p50: rate > 0 ? (found.lat_p50_us ?? null) : null,
        p99: rate > 0 ? (found.lat_p99_us ?? null) : null,
      })
    })
  })
}
