import type { SubscribeAsk, WillAsk } from './client.ts'
import type { World } from './world/world.ts'

/** One connection of a client, as its client knows it. Times are milliseconds of the world; `null`: it has not happened. */
export interface Conn {
  readonly client: string
  readonly node: string
  readonly clean: boolean
  readonly durable: boolean
  readonly expiryMs: number
  readonly keepAliveMs: number
  readonly will: WillModel | null
  /** When CONNECT was sent. */
  readonly sentAt: number
  connackAt: number | null
  endAt: number | null
  end: 'left' | 'leftWithWill' | 'dropped' | 'vanished' | 'closed' | 'stolen' | null
  life: Life | null
}

/** A session, from the CONNACK that made it on. */
export interface Life {
  readonly client: string
  readonly node: string
  readonly durable: boolean
  readonly beganAt: number
  readonly subs: Sub[]
  readonly heard: Delivery[]
  conn: Conn
  /** It has ended, or may have: nothing is owed to it. */
  endedAt: number | null
  /** Its node has died with all that it held. */
  lost: boolean
  /** When the node that kept it died while its client was connected to another, which wrote it again: what waited is gone, what was in flight is not. */
  rewrittenAt: number | null
  /** Nobody knows whether it is this session that went on, or one that began in an attempt without an answer. */
  vague: boolean
}

/** A subscription, from SUBSCRIBE to UNSUBACK, or to the next SUBSCRIBE for the same filter. */
export interface Sub {
  readonly filter: string
  readonly topics: string
  readonly group: string | null
  readonly qos: number
  readonly rap: boolean
  readonly noLocal: boolean
  readonly askedAt: number
  onAt: number | null
  leavesAt: number | null
  offAt: number | null
  granted: number | null
}

/** A message that a client has published. */
export interface Sent {
  readonly id: string
  readonly n: number
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly empty: boolean
  readonly expiryMs: number | null
  readonly client: string
  readonly conn: Conn
  readonly sentAt: number
  /** How often the client has sent it. */
  sends: number
  /** When its PUBACK or PUBREC came. */
  ackedAt: number | null
  /** It was refused: nobody need keep it, though some may have got it. */
  refused: boolean
  /** It was refused for want of rights: nobody gets it. */
  forbidden: boolean
}

/** A message that a client has received. */
export interface Delivery {
  readonly id: string
  readonly topic: string
  readonly at: number
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  readonly conn: Conn
}

export interface WillModel {
  readonly id: string
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly delayMs: number
  conn: Conn | null
}

/** What a run may rely on. */
export interface ModelTerms {
  /** The node with which the stored session of a client dies, unless it is open at another; null: it outlives them all. */
  keeperOf(client: string): string | null
  /** How many nodes are one broker. */
  readonly nodes: number
  /** Messages that a session's queue takes. */
  readonly queueMax: number
  /** Clients that may have nothing to do with `s/#`. */
  isBarred(client: string): boolean
}

// Less than `cluster.expiry`, by what signs of life come late.
const deadMs = 4000
// Less than `cluster.confirmTimeout`, by what frames come late.
const leftOutMs = 900
/** What a message may be late by the network, a frozen node and a slow disk together. */
export const slackMs = 20_000
const publisherOf = (client: string, topic: string): string => `${client} ${topic}`

/** What has happened, as clients said and heard it, and the faults that they cannot see. */
export class History {
  readonly world: World
  readonly terms: ModelTerms
  readonly conns: Conn[] = []
  readonly lives: Life[] = []
  readonly sent = new Map<string, Sent>()
  readonly wills: WillModel[] = []
  /** The session of each client that may still be there. */
  readonly current = new Map<string, Life>()
  readonly #counts = new Map<string, number>()
  readonly crashes: { readonly node: string; readonly at: number; readonly how: string }[] = []
  /** Rights that a client has no more: publishing to and receiving of `x/#`, since when. */
  readonly revocations: { readonly client: string; readonly at: number }[] = []
  readonly serving = new Set<string>()
  /** When the last node died with which what all keep was gone. */
  emptiedAt = 0
  readonly clockSteps: number[] = []
  readonly storeFaults: { readonly from: number; readonly until: number }[] = []
  readonly troubledConns = new Set<Conn>()
  readonly #standstills: { readonly node: string; readonly from: number; readonly until: number }[] = []
  /** Connections whose wills were heard while their clients did not know of an end: they have ended at their nodes, and their clients find out. */
  readonly unheardEnds: { readonly conn: Conn; readonly will: string; readonly at: number }[] = []
  readonly violations: string[] = []

  constructor(world: World, terms: ModelTerms) {
    this.world = world
    this.terms = terms
  }

  /** Something is wrong. */
  wrong(text: string): void {
    if (this.violations.length < 20) this.violations.push(`${this.world.now.toFixed(3)} ${text}`)
    this.world.note(`WRONG ${text}`)
  }

  connecting(given: Omit<Conn, 'sentAt' | 'connackAt' | 'endAt' | 'end' | 'life'>): Conn {
    const conn: Conn = { ...given, sentAt: this.world.now, connackAt: null, endAt: null, end: null, life: null }
    this.conns.push(conn)
    if (conn.will !== null) conn.will.conn = conn
    const life = this.current.get(conn.client)
    // From here on it may have ended, whether or not the answer comes.
    if (life !== undefined && (conn.clean || !life.durable)) life.endedAt ??= this.world.now
    return conn
  }

  ended(conn: Conn, how: NonNullable<Conn['end']>): void {
    conn.endAt = this.world.now
    conn.end = how
    const { life } = conn
    this.world.note(`${conn.client} ${how}`)
    if (life !== null && !life.durable) life.endedAt ??= this.world.now
  }

  /** A node has died, or stops. */
  nodeEnded(node: string, how: string): void {
    const { now } = this.world
    this.crashes.push({ node, at: now, how })
    this.serving.delete(node)
    // Nobody is left who would write anything again.
    const isEmptied = this.serving.size === 0
    if (isEmptied) this.emptiedAt = now
    for (const life of this.current.values()) {
      const keeper = this.terms.keeperOf(life.client)
      if (keeper === null) continue
      const isOpenElsewhere = life.conn.endAt === null && life.conn.node !== node
      if (!isEmptied && (life.durable ? keeper !== node : isOpenElsewhere)) continue
      if (!isEmptied && isOpenElsewhere) {
        life.rewrittenAt = now
        continue
      }
      life.lost = true
      life.endedAt ??= now
    }
  }

  /** A node stands still from then until then. One of several may be taken for dead. */
  nodeFroze(node: string, from: number, until: number): void {
    this.#standstills.push({ node, from, until })
    if (this.terms.nodes > 1 && until - from > deadMs) this.crashes.push({ node, at: this.world.now, how: 'frozen' })
  }

  /** The others may have gone on without a node because it stood still at some time between these: docs/scaling.md. */
  isLeftOut(node: string, since: number, until: number): boolean {
    return (
      this.terms.nodes > 1 &&
      this.#standstills.some(one => one.node === node && one.until - one.from > leftOutMs && one.from <= until && one.until >= since)
    )
  }

  /** A worker died, or was taken for dead, between these: what was on its way to it was not kept, and whose it was is disconnected. */
  hasWorkerDied(since: number, until: number): boolean {
    return this.terms.nodes > 1 && this.crashes.some(({ at }) => at >= since && at <= until)
  }

  nodeServes(node: string): void {
    this.serving.add(node)
  }

  /** A store takes nothing, or not all. */
  storeFails(ms: number): void {
    this.storeFaults.push({ from: this.world.now, until: this.world.now + ms })
  }

  /** A wall clock is set. */
  clockSet(): void {
    this.clockSteps.push(this.world.now)
  }

  revoked(client: string): void {
    this.revocations.push({ client, at: this.world.now })
  }

  /** Something is done to a connection that may end it at its node alone. */
  troubled(client: string): void {
    const conn = this.conns.findLast(one => one.client === client)
    if (conn !== undefined) this.troubledConns.add(conn)
  }

  newWill({ topic, qos, delayS, retain }: WillAsk): WillModel {
    const will: WillModel = { id: `w${this.wills.length}`, topic, qos, retain, delayMs: delayS * 1000, conn: null }
    this.wills.push(will)
    return will
  }

  publishing({
    conn,
    topic,
    qos,
    retain,
    empty,
    expiryS,
  }: {
    readonly conn: Conn
    readonly topic: string
    readonly qos: 0 | 1 | 2
    readonly retain: boolean
    readonly empty: boolean
    readonly expiryS: number | null
  }): Sent {
    const key = publisherOf(conn.client, topic)
    const n = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, n)
    const sent: Sent = {
      id: `${conn.client}.${this.sent.size}`,
      n,
      topic,
      qos,
      retain,
      empty,
      expiryMs: expiryS === null ? null : expiryS * 1000,
      client: conn.client,
      conn,
      sentAt: this.world.now,
      sends: 1,
      ackedAt: null,
      refused: false,
      forbidden: false,
    }
    this.sent.set(sent.id, sent)
    this.world.note(`${conn.client} publishes ${sent.id} to ${topic} qos ${qos}${retain ? ' retain' : ''}${empty ? ' empty' : ''}`)
    return sent
  }

  again(sent: Sent): void {
    sent.sends += 1
  }

  answered(sent: Sent, code: number): void {
    this.world.note(`${sent.id} answered ${code}`)
    if (code < 0x80) sent.ackedAt ??= this.world.now
    else sent.refused = true
    if (code === 0x87) sent.forbidden = true
  }

  subscribing(life: Life, { filter, qos, rap = false, noLocal = false }: SubscribeAsk): Sub {
    const share = /^\$share\/([^/]+)\/(.*)$/.exec(filter)
    for (const before of life.subs) if (before.filter === filter && before.offAt === null) before.leavesAt ??= this.world.now
    const sub: Sub = {
      filter,
      topics: share?.[2] ?? filter,
      group: share?.[1] ?? null,
      qos,
      rap,
      noLocal,
      askedAt: this.world.now,
      onAt: null,
      leavesAt: null,
      offAt: null,
      granted: null,
    }
    life.subs.push(sub)
    this.world.note(`${life.client} subscribes to ${filter} qos ${qos}`)
    return sub
  }

  subscribed(subs: readonly Sub[], granted: readonly number[]): void {
    this.world.note(`granted ${subs.map(({ filter }, i) => `${filter} ${granted[i]}`).join(', ')}`)
    subs.forEach((sub, i) => {
      sub.onAt = this.world.now
      sub.granted = granted[i] ?? 0x80
      if (sub.granted < 0x80 && sub.granted > sub.qos) this.wrong(`QoS ${sub.granted} was granted for ${sub.filter}, ${sub.qos} was asked`)
      if (sub.granted >= 0x80) sub.offAt = sub.leavesAt = this.world.now
    })
  }

  unsubscribing(life: Life, filters: readonly string[]): Sub[] {
    this.world.note(`${life.client} unsubscribes from ${filters.join(' ')}`)
    const subs = life.subs.filter(sub => filters.includes(sub.filter) && sub.offAt === null)
    for (const sub of subs) sub.leavesAt ??= this.world.now
    return subs
  }

  unsubscribed(subs: readonly Sub[]): void {
    for (const sub of subs) sub.offAt ??= this.world.now
  }

  /** What the client of a connection has in the store goes with a node. */
  isKeptBy({ client }: Conn): boolean {
    return this.terms.keeperOf(client) !== null
  }

  /** The node of a connection, or the one that keeps what its client has in the store, has died since. */
  hasDied({ node, client }: Conn, since: number): boolean {
    const keeper = this.terms.keeperOf(client)
    return this.crashes.some(crash => (crash.node === node || crash.node === keeper) && crash.at >= since)
  }

  /** Its store took nothing for a while: the message went to who is connected, its publisher was sent away, and sends it again. */
  couldNotKeep({ sentAt }: Sent): boolean {
    // A message at QoS 2 that goes to several parts while one of them dies may come twice: docs/scaling.md.
    if (this.terms.nodes > 1 && this.crashes.some(({ at }) => at + slackMs >= sentAt)) return true
    return this.storeFaults.some(({ from, until }) => until + slackMs >= sentAt && from <= this.world.now)
  }

  /** A node died before the publisher had its answer, so that it sends the message again. */
  diedUnanswered({ sentAt, ackedAt }: Sent): boolean {
    return this.crashes.some(({ at }) => at >= sentAt && at <= (ackedAt ?? Number.POSITIVE_INFINITY))
  }

  /** The connection may have ended at its node before its client knew: because the node died or stopped, or the network broke. */
  endedBefore(conn: Conn): boolean {
    const end = conn.endAt ?? Number.POSITIVE_INFINITY
    return this.crashes.some(({ node, at }) => node === conn.node && at >= conn.sentAt && at <= end + slackMs) || this.isTroubled(conn)
  }

  isTroubled(conn: Conn): boolean {
    return this.troubledConns.has(conn)
  }

  isForbidden(client: string, topic: string, at: number): boolean {
    if (topic.startsWith('s/') && this.terms.isBarred(client)) return true
    if (!topic.startsWith('x/')) return false
    // Until the next CONNECT, which is authenticated anew.
    const since = this.revocations.findLast(one => one.client === client && one.at < at - slackMs)?.at
    return since !== undefined && !this.conns.some(one => one.client === client && one.sentAt > since - slackMs)
  }
}
