import type { ClientTerms, PublishAsk, SubscribeAsk, WillAsk } from './client.ts'
import { Chance } from './world/chance.ts'
import type { DiskFault } from './world/disk.ts'
import type { CrashKind } from './world/node.ts'

/** What happens in a run, and when: milliseconds of the world. All that is drawn beforehand, so that a part can be left out. */
export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly store: 'memory' | 'disk'
  /** The broker's options. */
  readonly mqtt: Readonly<Record<string, number | string>>
  readonly clients: readonly ClientTerms[]
  readonly actions: readonly Action[]
  /** When faults end. */
  readonly ends: number
}

type ByClient = { readonly at: number; readonly who: string }
type ByNode = { readonly at: number; readonly node: number }

export type Action =
  | (ByClient & { readonly do: 'connect'; readonly node: number; readonly clean: boolean; readonly will: WillAsk | null })
  | (ByClient & { readonly do: 'steal'; readonly node: number })
  | (ByClient & { readonly do: 'publish' } & PublishAsk)
  | (ByClient & { readonly do: 'subscribe'; readonly asks: readonly SubscribeAsk[] })
  | (ByClient & { readonly do: 'unsubscribe'; readonly filters: readonly string[] })
  | (ByClient & { readonly do: 'leave'; readonly withWill: boolean })
  | (ByClient & { readonly do: 'misbehave'; readonly kind: number })
  | (ByClient & { readonly do: 'drop' | 'break' })
  | (ByClient & { readonly do: 'vanish' | 'hold' | 'pause'; readonly ms: number })
  | (ByClient & { readonly do: 'stall'; readonly ms: number; readonly way: 'up' | 'down' | 'both' })
  | (ByNode & { readonly do: 'crash'; readonly after: number; readonly kind: CrashKind; readonly down: number })
  | (ByNode & { readonly do: 'stop'; readonly down: number })
  | (ByNode & { readonly do: 'freeze'; readonly ms: number })
  | (ByNode & { readonly do: 'clock'; readonly ms: number })
  | (ByNode & { readonly do: 'disk'; readonly kind: DiskFault['kind']; readonly code: string; readonly ms: number })

/** Kinds of faults that a run may have. */
export const faultKinds = ['network', 'crash', 'stop', 'freeze', 'clock', 'disk', 'client'] as const
export type FaultKind = (typeof faultKinds)[number]

/** What of a plan is a fault; the rest are operations of clients. */
export const isFault = ({ do: what }: Action): boolean =>
  ['misbehave', 'drop', 'break', 'vanish', 'stall', 'crash', 'stop', 'freeze', 'clock', 'disk', 'steal', 'hold', 'pause'].includes(what)

export interface PlanTerms {
  readonly seed: number
  readonly nodes: number
  readonly store: 'memory' | 'disk'
  readonly faults: readonly FaultKind[]
}

const topics = ['a/0', 'a/1', 'a/0/b', 'b/0', 'b/1'] as const
const filters = ['a/0', 'a/1', 'a/+', 'a/#', 'a/0/b', '+/0', 'b/#', 'b/0', '+/+/b'] as const
const shared = ['$share/g/a/#', '$share/h/b/0', '$share/g/+/1'] as const
const retainedTopics = ['r/0', 'r/1', 'r/2', 'r/0/x'] as const
const retainedFilters = ['r/#', 'r/0', 'r/+'] as const
const barredTopics = ['s/0', 's/1'] as const
const lengthMs = 40_000

/** The client that hears all wills, and is not troubled itself. */
export const watcherId = 'watch'

/** Draws a plan: some three hundred operations and dozens of faults. */
export function drawPlan({ seed, nodes, store, faults }: PlanTerms): Plan {
  const chance = new Chance(`plan ${seed} ${nodes} ${store} ${faults.join()}`)
  const clients = drawClients(chance.fork('clients'))
  const actions: Action[] = []
  const ops = chance.int(300, 420)
  for (const { id } of clients) {
    if (id === watcherId) continue
    actions.push({ at: chance.int(0, 500), who: id, do: 'connect', node: chance.int(0, nodes - 1), clean: false, will: drawWill(chance) })
    actions.push({ at: chance.int(500, 2000), who: id, do: 'subscribe', asks: drawSubscriptions(chance) })
  }
  const others = clients.filter(({ id }) => id !== watcherId)
  for (let i = 0; i < ops; i++) actions.push(...drawOperation(chance, Math.floor(chance.next() * lengthMs), chance.pick(others).id, nodes))
  // Workers of one broker stop together, and one alone only dies.
  const kinds = faults.filter(kind => (kind !== 'disk' || store === 'disk') && (kind !== 'stop' || nodes === 1))
  const count = kinds.length === 0 ? 0 : chance.int(5, 40)
  // Half of the faults come in the very moment in which a client does something.
  const busy = actions.map(({ at }) => at).filter(at => at > 500)
  for (let i = 0; i < count; i++) {
    const at = chance.percent(50) ? chance.pick(busy) : Math.floor(500 + chance.next() * (lengthMs - 500))
    actions.push(drawFault(chance, chance.pick(kinds), at, others, nodes))
  }
  actions.sort((a, b) => a.at - b.at)
  return { seed, nodes, store, mqtt: drawOptions(chance.fork('options')), clients, actions, ends: lengthMs + 1000 }
}

function drawOptions(chance: Chance): Record<string, number | string> {
  const options: Record<string, number | string> = {}
  if (chance.percent(30)) options.inflightMax = chance.pick([1, 2, 5])
  if (chance.percent(30)) options.receiveMaximum = chance.pick([1, 3, 10])
  if (chance.percent(15)) {
    options.queueMessagesMax = chance.pick([5, 20, 60])
    options.queueFull = chance.pick(['dropNewest', 'dropOldest'])
  }
  return options
}

function drawClients(chance: Chance): ClientTerms[] {
  const clients: ClientTerms[] = [
    { id: watcherId, version: 5, durable: true, expiryMs: Number.POSITIVE_INFINITY, keepAlive: 0, receiveMaximum: 0 },
  ]
  const count = chance.int(3, 10)
  for (let i = 0; i < count; i++) {
    const version = chance.percent(65) ? 5 : 4
    const durable = chance.percent(70)
    const expiryMs = !durable
      ? 0
      : version === 4
        ? Number.POSITIVE_INFINITY
        : chance.pick([2000, 5000, 60_000, 3_600_000, Number.POSITIVE_INFINITY])
    clients.push({
      id: `c${i}`,
      version,
      durable,
      expiryMs,
      keepAlive: chance.pick([0, 5, 10]),
      receiveMaximum: version === 5 ? chance.pick([0, 0, 1, 2, 7]) : 0,
    })
  }
  return clients
}

function drawWill(chance: Chance): WillAsk | null {
  if (chance.percent(40)) return null
  return { topic: `w/${chance.int(0, 3)}`, qos: chance.pick([1, 2, 2]), delayS: chance.pick([0, 0, 1, 4]), retain: chance.percent(15) }
}

function drawSubscriptions(chance: Chance): SubscribeAsk[] {
  const asks = new Map<string, SubscribeAsk>()
  const count = chance.int(1, 3)
  for (let i = 0; i < count; i++) {
    const drawn = chance.next() * 100
    const filter =
      drawn < 55
        ? chance.pick(filters)
        : drawn < 70
          ? chance.pick(shared)
          : drawn < 90
            ? chance.pick(retainedFilters)
            : chance.pick(['s/#', 's/0'])
    asks.set(filter, {
      filter,
      qos: chance.pick([0, 1, 1, 2, 2]),
      rap: chance.percent(20),
      noLocal: chance.percent(10),
      retainHandling: chance.pick([0, 0, 0, 1, 2]),
    })
  }
  return [...asks.values()]
}

function drawOperation(chance: Chance, at: number, who: string, nodes: number): Action[] {
  const drawn = chance.next() * 100
  if (drawn < 62) return drawPublishes(chance, at, who)
  if (drawn < 74)
    return [
      {
        at,
        who,
        do: 'publish',
        topic: chance.pick(retainedTopics),
        qos: chance.pick([0, 1, 1, 2, 2]),
        retain: true,
        empty: chance.percent(25),
      },
    ]
  if (drawn < 78) return [{ at, who, do: 'publish', topic: chance.pick(barredTopics), qos: chance.pick([1, 2]) }]
  if (drawn < 84) return [{ at, who, do: 'subscribe', asks: drawSubscriptions(chance) }]
  if (drawn < 88) return [{ at, who, do: 'unsubscribe', filters: [chance.pick([...filters, ...shared])] }]
  if (drawn < 93) return [{ at, who, do: 'leave', withWill: chance.percent(30) }]
  return [{ at, who, do: 'connect', node: chance.int(0, nodes - 1), clean: chance.percent(40), will: drawWill(chance) }]
}

function drawPublishes(chance: Chance, at: number, who: string): Action[] {
  const topic = chance.pick(topics)
  const qos = chance.pick([0, 1, 1, 2, 2] as const)
  const size = chance.percent(10) ? chance.pick([200, 3000, 20_000]) : 0
  const count = chance.percent(30) ? chance.int(2, 8) : 1
  return Array.from({ length: count }, (_, i) => ({
    at: at + i,
    who,
    do: 'publish' as const,
    topic,
    qos,
    ...(size > 0 ? { size } : {}),
    ...(chance.percent(8) ? { expiryS: chance.pick([1, 3, 10]) } : {}),
  }))
}

function drawFault(chance: Chance, kind: FaultKind, at: number, clients: readonly ClientTerms[], nodes: number): Action {
  const who = chance.pick(clients).id
  const node = chance.int(0, nodes - 1)
  switch (kind) {
    case 'network':
      if (chance.percent(40)) return { at, who, do: chance.pick(['drop', 'break'] as const) }
      if (chance.percent(30)) return { at, who, do: 'vanish', ms: chance.int(10, 8000) }
      return { at, who, do: 'stall', ms: chance.int(10, 8000), way: chance.pick(['up', 'down', 'both'] as const) }
    case 'crash':
      return {
        at,
        node,
        do: 'crash',
        after: chance.percent(60) ? chance.int(0, 25) : chance.int(0, 300),
        kind: chance.pick(['kill', 'power'] as const),
        down: chance.int(5, 3000),
      }
    case 'stop':
      return { at, node, do: 'stop', down: chance.int(5, 3000) }
    case 'freeze':
      return { at, node, do: 'freeze', ms: chance.int(5, 4000) }
    case 'clock':
      return { at, node, do: 'clock', ms: chance.int(-3_600_000, 3_600_000) }
    case 'disk':
      return {
        at,
        node,
        do: 'disk',
        kind: chance.pick(['error', 'full', 'slow'] as const),
        code: chance.pick(['EIO', 'EROFS', 'ENOSPC']),
        ms: chance.int(5, 6000),
      }
    case 'client':
      if (chance.percent(25)) return { at, who, do: 'steal', node }
      if (chance.percent(30)) return { at, who, do: 'misbehave', kind: chance.int(0, 5) }
      return { at, who, do: chance.pick(['hold', 'pause'] as const), ms: chance.int(5, 6000) }
  }
}
