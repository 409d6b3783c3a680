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
  const args: (string | number)[] = [name, '-p', port, '-s', payload, '-q', qos, '-C', cleanSession ? 1 : 0, '-n', messages]
  // With its workers.
  args.push('-P', `${pid}+`)
  if (kind !== 'pairs') args.push('-S', subscribers)
  args.push('-c', kind === 'retained' ? 1 : publishers)
  if (qos > 0 && window > 0) args.push('-w', window)
  if (qos === 0 && window > 0 && kind !== 'publish' && kind !== 'retained') args.push('-f', window)
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
      const count = found.received ?? found.msgs_per_s! * found.secs!
      resolve({
        seconds: found.secs!,
        messages: Math.round(found.msgs_per_s! * found.secs!),
        expected: Math.round(count),
        brokerCpuSeconds: found.broker_cpu_s!,
        loadCpu: (found.load_cpu_pct ?? 0) / 100,
        p50: rate > 0 ? (found.lat_p50_us ?? null) : null,
        p99: rate > 0 ? (found.lat_p99_us ?? null) : null,
      })
    })
  })
}
