import { type Started, startMosquitto, startOurs } from './brokers.ts'
import { type Difference, differences } from './compare.ts'
import { Player } from './player.ts'
import { type Rule, rules } from './rules.ts'
import { drawScript, type Script } from './script.ts'

/** What one script showed. */
export interface Comparison {
  readonly script: Script
  /** Differences that a rule allows, with that rule. */
  readonly allowed: readonly { readonly rule: Rule; readonly difference: Difference }[]
  /** Differences that no rule allows. */
  readonly open: readonly Difference[]
}

/** Both brokers, and scripts that are played to one after the other. */
export class Duel {
  readonly #brokers: readonly Started[]
  readonly #players: readonly Player[]

  private constructor(brokers: readonly Started[]) {
    this.#brokers = brokers
    this.#players = brokers.map(({ port }) => new Player(port))
  }

  static async start(ours: () => Promise<Started> = startOurs): Promise<Duel> {
    return new Duel([await ours(), await startMosquitto()])
  }

  async play(seed: number): Promise<Comparison> {
    const script = drawScript(seed)
    const [own, other] = this.#players
    const all = differences(script, await own!.play(script), await other!.play(script))
    const allowed: { rule: Rule; difference: Difference }[] = []
    const open = all.filter(difference => {
      const rule = rules.find(one => one.matches(difference, all))
      if (rule !== undefined) allowed.push({ rule, difference })
      return rule === undefined
    })
    return { script, allowed, open }
  }

  async stop(): Promise<void> {
    for (const broker of this.#brokers) await broker.stop()
  }
}

/** One difference in a line. */
export function shown({ script, step, action, who, version, kind, packet, field, ours, theirs }: Difference): string {
  const text = (value: unknown): string => JSON.stringify(value)?.slice(0, 160) ?? 'nothing'
  const what =
    kind === 'field' ? `${packet} has another ${field}` : kind === 'order' ? `${packet} in another order` : `${packet} of one of them`
  return `script ${script.seed}, step ${step} of ${script.steps.length}, ${text(action)}: client ${who} (version ${version}): ${what}: ours ${text(ours)}, mosquitto's ${text(theirs)}`
}
