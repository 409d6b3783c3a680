import { type Ask, bare, matches, type Script } from './script.ts'

/** What follows from a script alone, for rules to ask. */
export interface Facts {
  /** The subscriptions that a client has when a step begins. */
  subscriptions(step: number, who: number): readonly Ask[]
  /** The Receive Maximum of a client's connection when a step begins; 0: it said none. */
  receiveMaximum(step: number, who: number): number
  /** Those of them that were made with other options before. */
  changed(step: number, who: number): readonly Ask[]
  /** Texts of messages whose QoS 2 handshake stops half way. */
  readonly halves: ReadonlySet<string>
  /** Texts of wills whose connection another one of the same client took over. */
  readonly replacedWills: ReadonlySet<string>
  /** Who published a text. */
  readonly publishers: ReadonlyMap<string, number>
}

export function factsOf(script: Script): Facts {
  const halves = new Set<string>()
  const replacedWills = new Set<string>()
  const publishers = new Map<string, number>()
  const wills: (string | null)[] = script.clients.map(() => null)
  const now: ReadonlyMap<string, Ask>[] = script.clients.map(() => new Map())
  const before: (readonly (readonly Ask[])[])[] = []
  const again: Set<string>[] = script.clients.map(() => new Set())
  const windows = script.clients.map(() => 0)
  const windowsBefore: (readonly number[])[] = []
  const changedBefore: (readonly (readonly Ask[])[])[] = []
  for (const step of script.steps) {
    before.push(now.map(asks => [...asks.values()]))
    windowsBefore.push([...windows])
    changedBefore.push(now.map((asks, i) => [...asks.values()].filter(({ filter }) => again[i]!.has(filter))))
    const { who } = step
    const { isKept, version } = script.clients[who]!
    if (step.do === 'connect') {
      const old = wills[who]
      if (old != null) replacedWills.add(old)
      wills[who] = step.will?.text ?? null
      windows[who] = step.receiveMaximum
      if (step.will !== null) publishers.set(step.will.text, who)
      if (version === 5 ? step.clean : !isKept) now[who] = new Map()
    } else if (step.do === 'subscribe') {
      for (const ask of step.asks) {
        const old = now[who]!.get(ask.filter)
        if (old === undefined) again[who]!.delete(ask.filter)
        else if (old.noLocal !== ask.noLocal || old.retainAsPublished !== ask.retainAsPublished) again[who]!.add(ask.filter)
        now[who] = new Map([...now[who]!, [ask.filter, ask]])
      }
    } else if (step.do === 'unsubscribe') now[who] = new Map([...now[who]!].filter(([filter]) => !step.filters.includes(filter)))
    else if (step.do === 'publish') {
      publishers.set(step.text, who)
      if (step.half) halves.add(step.text)
    } else if (step.do === 'drop' || step.do === 'leave') {
      wills[who] = null
      if (!isKept) now[who] = new Map()
    }
  }
  return {
    subscriptions: (step, who) => before[step]![who]!,
    receiveMaximum: (step, who) => windowsBefore[step]![who]!,
    changed: (step, who) => changedBefore[step]![who]!,
    halves,
    replacedWills,
    publishers,
  }
}

/** How many of a client's subscriptions match a topic name. */
export function matching(asks: readonly Ask[], topic: string): Ask[] {
  return asks.filter(({ filter }) => matches(bare(filter), topic))
}
