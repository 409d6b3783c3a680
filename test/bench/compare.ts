import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { type BrokerKind, besideKind, brokerKinds } from './brokers.ts'
import { readyOnce } from './limits.ts'
import { canPin } from './pin.ts'
import { type Measured, median } from './report.ts'
import { type Scenario, scenarios } from './scenarios.ts'

export interface CompareOptions {
  readonly only: readonly string[] | undefined
  readonly quick: boolean
  readonly rounds: number
  /** Runs one scenario once on a broker of its own. */
  run(kind: BrokerKind, scenario: Scenario): Promise<Measured>
}

/** What a scenario has shown, or the start: `old` twice, so that one sees what the same program differs from itself by. */
export interface Rounds {
  readonly old: number[]
  readonly again: number[]
  readonly new: number[]
}

export interface Verdict {
  readonly old: number
  readonly new: number
  /** New divided by old. */
  readonly ratio: number
  /** The second of the two old ones divided by the first. */
  readonly same: number
  /** What may be chance, as a share: how far old is from old. */
  readonly spread: number
  readonly isWorse: boolean
}

// A change that costs more than this, beyond the spread, is worse.
const tolerance = 0.05
const quickScenarios = ['publish-q1', 'pairs-q0-w20', 'pairs-q1-w20', 'pairs-q2-w20', 'pairs-q1-w1', 'fan-out-q1']

/**
 * Compares another checkout of this broker with this one. Each round runs the old one, the old one once more, and the new one, and each
 * round begins with another of the three, so that whatever the machine does besides meets all alike.
 */
export async function compareCheckouts(folder: string, { only, quick, rounds, run }: CompareOptions): Promise<void> {
  const old = besideKind(folder)
  const prepare = path.resolve(folder, '.ci/prepare.mjs')
  if (existsSync(prepare)) execFileSync(process.execPath, [prepare], { stdio: 'inherit' })
  if (old.version() === undefined) throw new Error(`--compare: there is no built checkout of this broker in ${folder}`)
  const kinds = { old, again: old, new: brokerKinds[0]! }
  const wanted = only ?? (quick ? quickScenarios : undefined)
  const chosen = scenarios.filter(
    ({ id }) => wanted === undefined || wanted.some(start => (only === undefined ? id === start : id.startsWith(start))),
  )
  console.error(`${rounds} rounds · Node ${process.version} · ${cpus()[0]?.model}${canPin ? '' : ' · broker and load share their cores'}`)

  const lines = ['| | old | old again / old | spread | new | new / old | |', '|---|--:|--:|--:|--:|--:|---|']
  const worse: string[] = []
  const add = (id: string, unit: string, found: Rounds): void => {
    const verdict = judge(found)
    if (verdict.isWorse) worse.push(id)
    lines.push(
      `| ${id} | ${verdict.old.toFixed(2)} ${unit} | ${verdict.same.toFixed(3)} | ±${(verdict.spread * 100).toFixed(1)} % | ${verdict.new.toFixed(2)} ${unit} | ${verdict.ratio.toFixed(3)} | ${verdict.isWorse ? 'WORSE' : ''} |`,
    )
  }
  for (const scenario of chosen) {
    const one = quick ? shorter(scenario) : scenario
    const found = await alternate(rounds, async which => (await run(kinds[which], one)).cpuMicros)
    add(scenario.id, 'µs/msg', found)
    console.error(lines.at(-1))
  }
  if (only === undefined) add('start to ready', 'ms', await alternate(quick ? 5 : Math.max(rounds, 10), which => readyOnce(kinds[which])))
  console.log(lines.join('\n'))
  const limit = `by more than ${tolerance * 100} % beyond the spread of old against old`
  console.log(worse.length === 0 ? `\nNothing is worse ${limit}.` : `\nWorse ${limit}: ${worse.join(', ')}`)
  if (worse.length > 0) process.exitCode = 1
}

async function alternate(rounds: number, run: (which: keyof Rounds) => Promise<number>): Promise<Rounds> {
  const order = ['old', 'again', 'new'] as const
  const found: Rounds = { old: [], again: [], new: [] }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < order.length; i++) {
      const which = order[(round + i) % order.length]!
      found[which].push(await run(which))
    }
  }
  return found
}

/** Medians of all rounds. The spread is how far the two old medians are apart, or how uncertain a median of such rounds is, whichever is more. */
export function judge({ old, again, new: now }: Rounds): Verdict {
  const before = median([...old, ...again])
  const same = median(again) / median(old)
  const ratios = old.map((value, i) => again[i]! / value)
  const middle = median(ratios)
  // The median of the distances to the median, as the standard deviation of a normal distribution, and that of a median of so many.
  const deviation = 1.4826 * median(ratios.map(ratio => Math.abs(ratio - middle)))
  const spread = Math.max(Math.abs(same - 1), (1.2533 * deviation) / Math.sqrt(ratios.length))
  const ratio = median(now) / before
  return { old: before, new: median(now), ratio, same, spread, isWorse: ratio > 1 + tolerance + spread }
}

/** A third of the messages: enough for a first look. */
function shorter(scenario: Scenario): Scenario {
  const { workload } = scenario
  return { ...scenario, workload: { ...workload, messages: Math.ceil(workload.messages / 3) } }
}
