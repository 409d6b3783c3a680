import { Chance } from '../simulation/world/chance.ts'

/** Properties of a PUBLISH or a will that a broker has to hand on unread. */
export interface HandedOn {
  readonly payloadFormatIndicator?: boolean
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Buffer
  readonly userProperties?: Readonly<Record<string, string | string[]>>
}

export interface Will {
  readonly topic: string
  readonly text: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly properties: HandedOn
}

export interface Ask {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

/** One thing that one client does. Both brokers have done all that follows from it before the next one. */
export type Step =
  | { readonly do: 'connect'; readonly who: number; readonly clean: boolean; readonly receiveMaximum: number; readonly will: Will | null }
  | { readonly do: 'subscribe'; readonly who: number; readonly asks: readonly Ask[]; readonly identifier: number }
  | { readonly do: 'unsubscribe'; readonly who: number; readonly filters: readonly string[] }
  | {
      readonly do: 'publish'
      readonly who: number
      readonly topic: string
      readonly text: string
      readonly qos: 0 | 1 | 2
      readonly retain: boolean
      /** Sent as a topic alias: first with the topic name, later without. 0: none. */
      readonly alias: number
      /** How far a QoS 2 handshake goes: the client says no PUBREL, and sends the message again when it is back. */
      readonly half: boolean
      readonly properties: HandedOn
    }
  /** From now on it acknowledges nothing. */
  | { readonly do: 'hold'; readonly who: number }
  /** It acknowledges what it held back, and all that comes from now on. */
  | { readonly do: 'release'; readonly who: number }
  /** Says PUBREC where it is due, and no PUBCOMP. */
  | { readonly do: 'half'; readonly who: number }
  | { readonly do: 'leave'; readonly who: number; readonly withWill: boolean }
  | { readonly do: 'drop'; readonly who: number }
  | { readonly do: 'misbehave'; readonly who: number; readonly kind: Misbehaviour }

export const misbehaviours = [
  'second CONNECT',
  'PUBLISH to a wildcard',
  'PUBLISH to an empty topic',
  'PUBLISH at QoS 3',
  'PUBLISH with identifier 0',
  'PUBLISH with NUL in its topic',
  'PUBLISH that is no UTF-8',
  'PUBLISH with DUP at QoS 0',
  'PUBLISH with an unknown alias',
  'PUBLISH with alias 0',
  'PUBLISH with an alias that is too high',
  'PUBLISH with a subscription identifier',
  'PUBLISH with one property twice',
  'PUBLISH with an unknown property',
  'PUBLISH with a response topic with a wildcard',
  'SUBSCRIBE without filters',
  'SUBSCRIBE with wrong flags',
  'SUBSCRIBE at QoS 3',
  'SUBSCRIBE with identifier 0',
  'SUBSCRIBE to a/#/b',
  'SUBSCRIBE to a+',
  'SUBSCRIBE to nothing',
  'SUBSCRIBE with subscription identifier 0',
  'SUBSCRIBE with retain handling 3',
  'SUBSCRIBE with reserved option bits',
  'SUBSCRIBE shared with No Local',
  'SUBSCRIBE shared without a group',
  'SUBSCRIBE shared without a filter',
  'UNSUBSCRIBE without filters',
  'UNSUBSCRIBE with wrong flags',
  'UNSUBSCRIBE with identifier 0',
  'UNSUBSCRIBE from a/#/b',
  'PUBACK of nothing',
  'PUBREC of nothing',
  'PUBREL of nothing',
  'PUBCOMP of nothing',
  'PUBREL with wrong flags',
  'PUBACK with wrong flags',
  'PINGREQ with wrong flags',
  'PINGREQ with a payload',
  'PINGRESP',
  'CONNACK',
  'SUBACK',
  'UNSUBACK',
  'DISCONNECT with wrong flags',
  'DISCONNECT with an unknown reason',
  'packet type 0',
  'packet type 15',
  'a length of five bytes',
  'a packet cut short by its length',
] as const
export type Misbehaviour = (typeof misbehaviours)[number]

export interface Member {
  readonly version: 3 | 4 | 5
  /** Its session outlives its connection. */
  readonly isKept: boolean
}

export interface Script {
  readonly seed: number
  readonly clients: readonly Member[]
  readonly steps: readonly Step[]
}

const topics = ['a', 'a/b', 'a/c', 'a/b/c', 'b', 'b/c', '/a', 'a/', 'a//c', 'ä/☃', '$x/a'] as const
const filters = [...topics, '#', '+', 'a/#', 'a/+', '+/b', '+/c', '+/+', 'a/+/c', '/+', '/#', '+/#', '$x/#', '$x/+', 'b/#'] as const
const stepsMin = 12
const stepsMax = 40

/** Draws what some clients do. `overlaps` and shared groups of several are rare, so that what brokers may decide themselves stays rare. */
export function drawScript(seed: number): Script {
  const chance = new Chance(`differential ${seed}`)
  const clients = Array.from(
    { length: chance.int(2, 4) },
    (): Member => ({
      version: chance.percent(55) ? 5 : chance.percent(85) ? 4 : 3,
      isKept: chance.percent(50),
    }),
  )
  const draw = new Drawing(chance, [...clients])
  const steps: Step[] = clients.map((_, who) => draw.connect(who))
  // It hears everything, so that nearly every message matches something.
  if (chance.percent(95)) {
    const watcher = clients.push({ version: 4, isKept: false }) - 1
    const ask = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const
    const asks = [
      { filter: '#', ...ask },
      { filter: '$x/#', ...ask },
    ]
    steps.unshift(
      { do: 'connect', who: watcher, clean: true, receiveMaximum: 0, will: null },
      { do: 'subscribe', who: watcher, asks, identifier: 0 },
    )
  }
  const count = chance.int(stepsMin, stepsMax)
  while (steps.length < count) steps.push(...draw.step())
  if (chance.percent(15)) {
    const who = draw.someoneOn()
    // What follows would differ for good where one broker closes the connection and the other does not.
    if (who !== undefined) steps.push({ do: 'misbehave', who, kind: chance.pick(misbehaviours) })
  }
  return { seed, clients, steps }
}

class Drawing {
  readonly #chance: Chance
  readonly #clients: readonly Member[]
  readonly #on: boolean[]
  readonly #holds: ('no' | 'all' | 'half')[]
  readonly #subscriptions: Set<string>[]
  readonly #members = new Map<string, number>()
  readonly #overlaps: boolean
  readonly #hasWindows: boolean
  readonly #shares: boolean
  readonly #sharesWithOthers: boolean
  readonly #takesOver: boolean
  readonly #halves: boolean
  readonly #hasWill: boolean[]
  readonly #aliases: Map<string, number>[]
  #texts = 0

  constructor(chance: Chance, clients: readonly Member[]) {
    this.#chance = chance
    this.#clients = clients
    this.#on = clients.map(() => false)
    this.#hasWill = clients.map(() => false)
    this.#holds = clients.map(() => 'no')
    this.#subscriptions = clients.map(() => new Set())
    this.#aliases = clients.map(() => new Map())
    this.#overlaps = chance.percent(4)
    // A message that only one broker sends, or sends later, would fill a window of the other.
    this.#hasWindows = chance.percent(40)
    this.#shares = !this.#hasWindows && chance.percent(40)
    this.#sharesWithOthers = chance.percent(12)
    this.#takesOver = chance.percent(6)
    this.#halves = !this.#hasWindows && chance.percent(10)
  }

  someoneOn(): number | undefined {
    const on = [...this.#clients.keys()].filter(who => this.#on[who])
    return on.length === 0 ? undefined : this.#chance.pick(on)
  }

  connect(who: number): Step {
    const chance = this.#chance
    const { isKept, version } = this.#clients[who]!
    const clean = isKept ? chance.percent(15) : true
    if (clean) this.#subscriptions[who]!.clear()
    this.#on[who] = true
    this.#holds[who] = 'no'
    this.#aliases[who]!.clear()
    const will: Will | null = chance.percent(30)
      ? {
          topic: chance.pick(topics),
          text: `will ${++this.#texts}`,
          qos: this.#qos(),
          // Whether there is one at all, once another connection takes over, is not for what is retained to tell.
          retain: !this.#takesOver && chance.percent(25),
          properties: this.#properties(version),
        }
      : null
    this.#hasWill[who] = will !== null
    return {
      do: 'connect',
      who,
      clean,
      receiveMaximum: version === 5 && this.#hasWindows && chance.percent(40) ? chance.int(1, 3) : 0,
      will,
    }
  }

  step(): Step[] {
    const chance = this.#chance
    const who = chance.int(0, this.#clients.length - 1)
    if (!this.#on[who]) return chance.percent(40) ? [this.connect(who)] : []
    const drawn = chance.next() * 100
    if (drawn < 22) return this.#subscribe(who)
    if (drawn < 28) return this.#unsubscribe(who)
    if (drawn < 80) return [this.#publish(who)]
    if (drawn < 84) {
      this.#holds[who] = 'all'
      return [{ do: 'hold', who }]
    }
    if (drawn < 86) {
      this.#holds[who] = 'half'
      return [{ do: 'half', who }]
    }
    if (drawn < 90 && this.#holds[who] !== 'no') {
      this.#holds[who] = 'no'
      return [{ do: 'release', who }]
    }
    if (drawn < 94 && (this.#takesOver || (this.#clients[who]!.version < 5 && !this.#hasWill[who]))) return [this.connect(who)]
    this.#on[who] = false
    this.#holds[who] = 'no'
    if (!this.#clients[who]!.isKept) this.#subscriptions[who]!.clear()
    return [drawn < 97 ? { do: 'drop', who } : { do: 'leave', who, withWill: chance.percent(30) }]
  }

  #subscribe(who: number): Step[] {
    const chance = this.#chance
    const { version } = this.#clients[who]!
    const own = this.#subscriptions[who]!
    const asks: Ask[] = []
    for (let left = chance.percent(75) ? 1 : chance.int(2, 3); left > 0; left--) {
      const plain = chance.pick(filters)
      const isShared = version === 5 && this.#shares && chance.percent(22)
      const filter = isShared ? `$share/g/${plain}` : plain
      if (isShared && !this.#sharesWithOthers && (this.#members.get(plain) ?? who) !== who) continue
      if (!this.#overlaps && [...own].some(other => other !== filter && mayOverlap(bare(other), plain))) continue
      if (isShared) this.#members.set(plain, who)
      own.add(filter)
      asks.push({
        filter,
        qos: this.#qos(),
        noLocal: version === 5 && !isShared && !this.#hasWindows && chance.percent(25),
        retainAsPublished: version === 5 && chance.percent(30),
        retainHandling: version === 5 ? chance.pick([0, 0, 0, 1, 2] as const) : 0,
      })
    }
    if (asks.length === 0) return []
    return [
      { do: 'subscribe', who, asks, identifier: version === 5 && chance.percent(30) ? chance.pick([1, 7, 127, 128, 268_435_455]) : 0 },
    ]
  }

  #unsubscribe(who: number): Step[] {
    const own = this.#subscriptions[who]!
    const filter = own.size > 0 && this.#chance.percent(80) ? this.#chance.pick([...own]) : this.#chance.pick(filters)
    own.delete(filter)
    const more = this.#chance.percent(15) ? [this.#chance.pick(filters)] : []
    for (const other of more) own.delete(other)
    return [{ do: 'unsubscribe', who, filters: [filter, ...more] }]
  }

  #publish(who: number): Step {
    const chance = this.#chance
    const { version } = this.#clients[who]!
    const topic = chance.pick(topics)
    const qos = this.#qos()
    const half = qos === 2 && this.#halves && chance.percent(30)
    const retain = !half && chance.percent(20)
    return {
      do: 'publish',
      who,
      topic,
      text: retain && chance.percent(25) ? '' : chance.percent(3) ? `m${++this.#texts} ${'long '.repeat(4000)}` : `m${++this.#texts}`,
      qos,
      retain,
      alias: version === 5 && chance.percent(10) ? chance.int(1, 3) : 0,
      half,
      properties: this.#properties(version),
    }
  }

  #properties(version: number): HandedOn {
    const chance = this.#chance
    if (version !== 5 || chance.percent(70)) return {}
    return {
      ...(chance.percent(40) && { payloadFormatIndicator: true }),
      ...(chance.percent(40) && { contentType: chance.pick(['text/plain', 'ä☃', '']) }),
      ...(chance.percent(30) && { responseTopic: chance.pick(['re/ply', 'a']) }),
      ...(chance.percent(30) && { correlationData: Buffer.from(chance.pick(['', 'one', '\0\xff']), 'latin1') }),
      ...(chance.percent(40) && { userProperties: chance.pick([{ k: 'v' }, { k: ['1', '2'], ä: '' }]) }),
    }
  }

  #qos(): 0 | 1 | 2 {
    return this.#chance.int(0, 2) as 0 | 1 | 2
  }
}

/** The filter of a shared subscription without its group. */
export function bare(filter: string): string {
  return filter.startsWith('$share/') ? filter.split('/').slice(2).join('/') : filter
}

/** Some topic name of this test matches both filters. */
function mayOverlap(one: string, other: string): boolean {
  return topics.some(topic => matches(one, topic) && matches(other, topic))
}

/** Plain and slow, and no part of the broker: [MQTT-4.7]. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const given = topic.split('/')
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true
    if (i >= given.length || (level !== '+' && level !== given[i])) return false
  }
  return wanted.length === given.length
}
