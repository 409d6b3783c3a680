// Why it is long: what must hold of a broker, all of it in one place. Read it from `check` down.
import { matches } from '../../core/routing/topic.ts'
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

// What a message may be late by the network, a frozen node and a slow disk together.
const slackMs = 20_000
// Ends of sessions are looked for once a second, and clocks drift.
const sweepMs = 2_500
const publisherOf = (client: string, topic: string): string => `${client} ${topic}`

/**
 * What must hold, whatever happens. Clients tell it what they say and hear; it never looks into a broker. Where the order of two things is not known, both orders are right.
 */
export class Model {
  readonly #world: World
  readonly #terms: ModelTerms
  readonly #conns: Conn[] = []
  readonly #lives: Life[] = []
  readonly #sent = new Map<string, Sent>()
  readonly #wills: WillModel[] = []
  /** The session of each client that may still be there. */
  readonly #current = new Map<string, Life>()
  readonly #counts = new Map<string, number>()
  readonly #crashes: { readonly node: string; readonly at: number; readonly how: string }[] = []
  /** Rights that a client has no more: publishing to and receiving of `x/#`, since when. */
  readonly #revoked: { readonly client: string; readonly at: number }[] = []
  readonly #serving = new Set<string>()
  /** When the last node died with which what all keep was gone. */
  #emptiedAt = 0
  readonly #clockSteps: number[] = []
  readonly #storeFaults: { readonly from: number; readonly until: number }[] = []
  readonly violations: string[] = []

  constructor(world: World, terms: ModelTerms) {
    this.#world = world
    this.#terms = terms
  }

  /** Something is wrong. */
  wrong(text: string): void {
    if (this.violations.length < 20) this.violations.push(`${this.#world.now.toFixed(3)} ${text}`)
    this.#world.note(`WRONG ${text}`)
  }

  // ---- what happens

  connecting(given: Omit<Conn, 'sentAt' | 'connackAt' | 'endAt' | 'end' | 'life'>): Conn {
    const conn: Conn = { ...given, sentAt: this.#world.now, connackAt: null, endAt: null, end: null, life: null }
    this.#conns.push(conn)
    if (conn.will !== null) conn.will.conn = conn
    const life = this.#current.get(conn.client)
    // From here on it may have ended, whether or not the answer comes.
    if (life !== undefined && (conn.clean || !life.durable)) life.endedAt ??= this.#world.now
    return conn
  }

  /** CONNACK has come: a session goes on, or a new one begins. */
  connected(conn: Conn, present: boolean): Life {
    conn.connackAt = this.#world.now
    this.#world.note(`${conn.client} connected at ${conn.node}${present ? ', session present' : ''}`)
    const before = this.#current.get(conn.client)
    const expected = this.#isPresent(before, conn)
    if (present && expected === false) this.wrong(`${conn.client}: Session Present, though no session can be there`)
    if (!present && expected === true) this.wrong(`${conn.client}: its session is gone`)
    if (present && before?.durable === true && !before.lost && !this.#mayBeAnother(before, conn)) {
      conn.life = before
      before.conn = conn
      before.endedAt = null
      return before
    }
    if (before !== undefined) before.endedAt ??= this.#world.now
    const life: Life = {
      client: conn.client,
      node: conn.node,
      durable: conn.durable,
      beganAt: this.#world.now,
      subs: [],
      heard: [],
      conn,
      endedAt: null,
      lost: false,
      rewrittenAt: null,
      vague: present,
    }
    conn.life = life
    // Its node may have died while the CONNACK was on its way.
    if (this.#isKeptBy(conn) && this.#hasDied(conn, conn.sentAt)) {
      life.lost = true
      life.endedAt = this.#world.now
    }
    this.#lives.push(life)
    this.#current.set(conn.client, life)
    return life
  }

  /** `undefined`: either is right. */
  #isPresent(life: Life | undefined, conn: Conn): boolean | undefined {
    if (conn.clean) return false
    // Attempts of which nobody knows what became of them may have ended it, or begun one.
    const since = life?.conn.sentAt ?? 0
    const unclear = this.#conns.some(one => one.client === conn.client && one !== conn && one.sentAt > since && one.connackAt === null)
    // The answer may be from before its node died.
    const isLate = this.#hasDied(conn, conn.sentAt)
    // Of several nodes one may not have noticed yet that the client had left it, and wrote the session again.
    const mayBeRewritten = life?.lost === true && this.#terms.nodes > 1
    if (life === undefined || !life.durable || life.lost) return unclear || isLate || mayBeRewritten ? undefined : false
    const { conn: last } = life
    if (
      life.rewrittenAt !== null &&
      last.endAt !== null &&
      last.endAt > life.rewrittenAt - slackMs &&
      last.endAt < life.rewrittenAt + slackMs
    )
      return undefined
    if (last.endAt === null || this.#isTimeUnknown(conn)) return undefined
    if (last.expiryMs === Number.POSITIVE_INFINITY) return unclear && this.#wasCleaned(last, conn) ? undefined : true
    const early = (conn.connackAt ?? this.#world.now) - last.endAt + (last.end === 'closed' || last.end === 'stolen' ? slackMs : 0)
    if (early + sweepMs < last.expiryMs) return unclear && this.#wasCleaned(last, conn) ? undefined : true
    // Nobody notices that it is gone.
    if (last.end === 'vanished' && last.keepAliveMs === 0) return undefined
    const late = conn.sentAt - last.endAt - slackMs - last.keepAliveMs * 1.5 - sweepMs
    return late > last.expiryMs * 1.01 && !unclear ? false : undefined
  }

  /** A machine was started anew while its wall clock was wrong: nobody knows how long its broker was away. */
  #isTimeUnknown(conn: Conn): boolean {
    return this.#crashes.some(
      ({ at, how }) => how === 'power' && this.#clockSteps.some(step => step > at - 10_000 && step < (conn.connackAt ?? this.#world.now)),
    )
  }

  /** An attempt without an answer may have ended the session and begun another. */
  #mayBeAnother(life: Life, conn: Conn): boolean {
    return this.#conns.some(
      one =>
        one.client === conn.client &&
        one !== conn &&
        one.sentAt > life.conn.sentAt &&
        one.connackAt === null &&
        (one.clean || this.#isPresent(life, one) !== true),
    )
  }

  #wasCleaned(last: Conn, conn: Conn): boolean {
    return this.#conns.some(one => one.client === conn.client && one !== conn && one.sentAt > last.sentAt && one.clean)
  }

  ended(conn: Conn, how: NonNullable<Conn['end']>): void {
    conn.endAt = this.#world.now
    conn.end = how
    const { life } = conn
    this.#world.note(`${conn.client} ${how}`)
    if (life !== null && !life.durable) life.endedAt ??= this.#world.now
  }

  /** A node has died, or stops. */
  nodeEnded(node: string, how: string): void {
    const { now } = this.#world
    this.#crashes.push({ node, at: now, how })
    this.#serving.delete(node)
    // Nobody is left who would write anything again.
    const isEmptied = this.#serving.size === 0
    if (isEmptied) this.#emptiedAt = now
    for (const life of this.#current.values()) {
      const keeper = this.#terms.keeperOf(life.client)
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

  /** A node stands still for so long that the others take it for dead. */
  nodeFroze(node: string): void {
    this.#crashes.push({ node, at: this.#world.now, how: 'frozen' })
  }

  nodeServes(node: string): void {
    this.#serving.add(node)
  }

  /** What the client of a connection has in the store goes with a node. */
  #isKeptBy({ client }: Conn): boolean {
    return this.#terms.keeperOf(client) !== null
  }

  /** The node of a connection, or the one that keeps what its client has in the store, has died since. */
  #hasDied({ node, client }: Conn, since: number): boolean {
    const keeper = this.#terms.keeperOf(client)
    return this.#crashes.some(crash => (crash.node === node || crash.node === keeper) && crash.at >= since)
  }

  /** A store takes nothing, or not all. */
  storeFails(ms: number): void {
    this.#storeFaults.push({ from: this.#world.now, until: this.#world.now + ms })
  }

  /** A wall clock is set. */
  clockSet(): void {
    this.#clockSteps.push(this.#world.now)
  }

  revoked(client: string): void {
    this.#revoked.push({ client, at: this.#world.now })
  }

  newWill({ topic, qos, delayS, retain }: WillAsk): WillModel {
    const will: WillModel = { id: `w${this.#wills.length}`, topic, qos, retain, delayMs: delayS * 1000, conn: null }
    this.#wills.push(will)
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
      id: `${conn.client}.${this.#sent.size}`,
      n,
      topic,
      qos,
      retain,
      empty,
      expiryMs: expiryS === null ? null : expiryS * 1000,
      client: conn.client,
      conn,
      sentAt: this.#world.now,
      sends: 1,
      ackedAt: null,
      refused: false,
      forbidden: false,
    }
    this.#sent.set(sent.id, sent)
    this.#world.note(`${conn.client} publishes ${sent.id} to ${topic} qos ${qos}${retain ? ' retain' : ''}${empty ? ' empty' : ''}`)
    return sent
  }

  again(sent: Sent): void {
    sent.sends += 1
  }

  answered(sent: Sent, code: number): void {
    this.#world.note(`${sent.id} answered ${code}`)
    if (code < 0x80) sent.ackedAt ??= this.#world.now
    else sent.refused = true
    if (code === 0x87) sent.forbidden = true
  }

  subscribing(life: Life, { filter, qos, rap = false, noLocal = false }: SubscribeAsk): Sub {
    const share = /^\$share\/([^/]+)\/(.*)$/.exec(filter)
    for (const before of life.subs) if (before.filter === filter && before.offAt === null) before.leavesAt ??= this.#world.now
    const sub: Sub = {
      filter,
      topics: share?.[2] ?? filter,
      group: share?.[1] ?? null,
      qos,
      rap,
      noLocal,
      askedAt: this.#world.now,
      onAt: null,
      leavesAt: null,
      offAt: null,
      granted: null,
    }
    life.subs.push(sub)
    this.#world.note(`${life.client} subscribes to ${filter} qos ${qos}`)
    return sub
  }

  subscribed(subs: readonly Sub[], granted: readonly number[]): void {
    this.#world.note(`granted ${subs.map(({ filter }, i) => `${filter} ${granted[i]}`).join(', ')}`)
    subs.forEach((sub, i) => {
      sub.onAt = this.#world.now
      sub.granted = granted[i] ?? 0x80
      if (sub.granted < 0x80 && sub.granted > sub.qos) this.wrong(`QoS ${sub.granted} was granted for ${sub.filter}, ${sub.qos} was asked`)
      if (sub.granted >= 0x80) sub.offAt = sub.leavesAt = this.#world.now
    })
  }

  unsubscribing(life: Life, filters: readonly string[]): Sub[] {
    this.#world.note(`${life.client} unsubscribes from ${filters.join(' ')}`)
    const subs = life.subs.filter(sub => filters.includes(sub.filter) && sub.offAt === null)
    for (const sub of subs) sub.leavesAt ??= this.#world.now
    return subs
  }

  unsubscribed(subs: readonly Sub[]): void {
    for (const sub of subs) sub.offAt ??= this.#world.now
  }

  received(
    conn: Conn,
    life: Life,
    packet: {
      readonly topic: string
      readonly payload: Buffer
      readonly qos: number
      readonly retain: boolean
      readonly dup: boolean
      readonly properties?: { readonly messageExpiryInterval?: number }
    },
  ): void {
    const { topic, qos, retain, dup } = packet
    const id = packet.payload.toString('latin1').split('|')[0]!
    this.#world.note(`${conn.client} receives ${id} on ${topic} qos ${qos}${dup ? ' dup' : ''}${retain ? ' retain' : ''}`)
    const delivery: Delivery = { id, topic, at: this.#world.now, qos, retain, dup, conn }
    life.heard.push(delivery)
    if (id === '') return
    if (id.startsWith('w')) return this.#mayHearWill(life, delivery, topic)
    const sent = this.#sent.get(id)
    if (sent === undefined || sent.topic !== topic)
      return this.wrong(`${conn.client} receives ${id} on ${topic}, which nobody has published`)
    this.#mayHear(life, delivery, sent)
    const left = packet.properties?.messageExpiryInterval
    if (left !== undefined && (sent.expiryMs === null || left * 1000 > sent.expiryMs))
      this.wrong(`${conn.client} receives ${id} with an expiry of ${left} s`)
  }

  /** A connection that another has taken the place of is still open long after. */
  stillOpen(conn: Conn): void {
    const later = this.#conns.some(one => one.client === conn.client && one.sentAt > conn.sentAt && one.connackAt !== null)
    if (later) this.wrong(`${conn.client} has a connection that another has taken the place of long ago`)
  }

  /** A connection that another has taken the place of hears something. */
  stale(conn: Conn, payload: string): void {
    const sent = this.#sent.get(payload.split('|')[0]!)
    const later = this.#conns.find(one => one.client === conn.client && one.sentAt > conn.sentAt && one.connackAt !== null)
    if (sent !== undefined && later !== undefined && sent.sentAt > later.connackAt!)
      this.wrong(`${conn.client} receives ${sent.id} on a connection that another had taken the place of before`)
  }

  // ---- what must hold of one delivery

  #mayHear(life: Life, { at, qos, retain, dup, conn, id }: Delivery, sent: Sent): void {
    const fitting = life.subs.filter(
      sub =>
        sub.askedAt <= at &&
        (sub.granted === null || sub.granted < 0x80) &&
        matches(sub.topics, sent.topic) &&
        // What was on its way when it was taken away may still come.
        (sub.offAt === null || sent.sentAt <= sub.offAt) &&
        !(sub.noLocal && sub.group === null && sent.client === life.client),
    )
    if (life.vague) return
    if (fitting.length === 0) return this.wrong(`${life.client} receives ${id} on ${sent.topic}, to which it has not subscribed`)
    const best = Math.min(sent.qos, Math.max(...fitting.map(sub => sub.qos)))
    if (qos > best) this.wrong(`${life.client} receives ${id} at QoS ${qos}, at most ${best} is right`)
    if (sent.forbidden) this.wrong(`${life.client} receives ${id}, which was refused`)
    if (this.#isForbidden(life.client, sent.topic, sent.sentAt))
      this.wrong(`${life.client} receives ${id} on ${sent.topic}, which it has no right to`)
    if (this.#isForbidden(sent.client, sent.topic, sent.sentAt))
      this.wrong(`${life.client} receives ${id}, whose publisher has no right to ${sent.topic}`)
    // A repeat may be late: it was on its way in time.
    if (sent.expiryMs !== null && !dup && at > (sent.ackedAt ?? sent.sentAt + slackMs) + sent.expiryMs * 1.01 + slackMs)
      this.wrong(
        `${life.client} receives ${id} ${((at - sent.sentAt) / 1000).toFixed(1)} s after it was published, it expires after ${sent.expiryMs / 1000}`,
      )
    if (conn.life !== life) this.wrong(`${life.client}: a message of another session`)
    if (retain && sent.empty) this.wrong(`${life.client} is sent ${id} as a retained message, which is empty`)
    if (!sent.retain && !retain) this.#mayHearAgain(life, sent, fitting)
    if (retain && !sent.retain) this.wrong(`${life.client} receives ${id} with the RETAIN flag, which its publisher did not set`)
  }

  /** QoS 2 once; otherwise as often as it was sent, and again only with the DUP flag. */
  #mayHearAgain(life: Life, sent: Sent, fitting: readonly Sub[]): void {
    const copies = life.heard.filter(one => one.id === sent.id)
    const groups = new Set(fitting.flatMap(({ group, topics }) => (group === null ? [] : [`${group}/${topics}`]))).size
    const ways = groups + (fitting.some(({ group }) => group === null) ? 1 : 0)
    if (copies.at(-1)!.qos === 2) {
      if (groups === 0 && copies.filter(({ qos }) => qos === 2).length > ways && !this.#couldNotKeep(sent))
        this.wrong(`${life.client} receives ${sent.id} twice at QoS 2`)
    } else if (
      groups === 0 &&
      copies.filter(({ dup }) => !dup).length > ways * (sent.qos === 2 && !this.#couldNotKeep(sent) ? 1 : sent.sends)
    ) {
      this.wrong(`${life.client} receives ${sent.id} more often than it was sent`)
    }
    this.#inOrder(life, sent, fitting)
  }

  /** Its store took nothing for a while: the message went to who is connected, its publisher was sent away, and sends it again. */
  #couldNotKeep({ sentAt }: Sent): boolean {
    // A message at QoS 2 that goes to several parts while one of them dies may come twice: docs/scaling.md.
    if (this.#terms.nodes > 1 && this.#crashes.some(({ at }) => at + slackMs >= sentAt)) return true
    return this.#storeFaults.some(({ from, until }) => until + slackMs >= sentAt && from <= this.#world.now)
  }

  /** What one client publishes to one topic at one QoS comes in that order, first copies only. */
  #inOrder(life: Life, sent: Sent, fitting: readonly Sub[]): void {
    if (fitting.some(({ group }) => group !== null) || life.subs.some(({ group, topics }) => group !== null && matches(topics, sent.topic)))
      return
    const last = life.heard.at(-1)!
    if (life.heard.some(one => one !== last && one.id === sent.id)) return
    for (let i = life.heard.length - 2; i >= 0; i--) {
      const before = this.#sent.get(life.heard[i]!.id)
      if (before === undefined || before.client !== sent.client || before.topic !== sent.topic || before.qos !== sent.qos || before.retain)
        continue
      if (life.heard[i]!.qos !== last.qos) continue
      // One that was dropped from a full queue, and not acknowledged, comes again.
      // The same where it was not yet subscribed to when it was sent first.
      // And one of the nodes that were to keep it may have died, while others have it.
      const isNew =
        (sent.sends > 1 && (this.#terms.queueMax < this.#sent.size || fitting.some(({ onAt }) => onAt === null || onAt > sent.sentAt))) ||
        (this.#terms.nodes > 1 && this.#couldNotKeep(sent))
      if (before.n > sent.n && !isNew) this.wrong(`${life.client} receives ${sent.id} behind ${before.id}, which was published later`)
      return
    }
  }

  #mayHearWill(life: Life, { id, at }: Delivery, topic: string): void {
    const will = this.#wills.find(one => one.id === id)
    if (will?.conn == null || will.topic !== topic) return this.wrong(`${life.client} receives the will ${id}, which there is not`)
    const { conn } = will
    if (conn.end === 'left') {
      // It may have been left in the moment in which the connection broke, or behind a publish for which the node closed it.
      const isOvertaken = this.#conns.some(
        one => one.client === conn.client && one.sentAt > conn.sentAt && one.sentAt < conn.endAt! + slackMs,
      )
      if (!isOvertaken && !this.#endedBefore(conn) && !this.#storeFaults.some(({ until }) => until + slackMs >= conn.sentAt))
        this.wrong(`${life.client} receives the will ${id} of ${conn.client}, which has said good-bye`)
      return
    }
    if (conn.endAt === null) {
      if (conn.connackAt !== null && !this.#endedBefore(conn) && at - conn.connackAt > slackMs) this.#tooEarly(life, will)
      return
    }
    const own = conn.end === 'dropped' || conn.end === 'vanished' || conn.end === 'leftWithWill'
    if (own && conn.connackAt !== null && conn.durable && !this.#endedBefore(conn)) {
      const dueAt = conn.endAt + Math.min(will.delayMs, conn.expiryMs) * 0.99
      // A new session ends the old one, and its will is due.
      const ended = this.#conns.some(one => one.client === conn.client && one.sentAt > conn.sentAt && one.clean)
      if (at < dueAt - 5 && !ended) this.wrong(`${life.client} receives the will ${id} ${(dueAt - at).toFixed(0)} ms early`)
    }
  }

  #tooEarly(life: Life, will: WillModel): void {
    this.wrong(`${life.client} receives the will ${will.id} of ${will.conn!.client}, which is connected`)
  }

  /** The connection may have ended at its node before its client knew: because the node died or stopped, or the network broke. */
  #endedBefore(conn: Conn): boolean {
    const end = conn.endAt ?? Number.POSITIVE_INFINITY
    return this.#crashes.some(({ node, at }) => node === conn.node && at >= conn.sentAt && at <= end + slackMs) || this.#isTroubled(conn)
  }

  readonly #troubled = new Set<Conn>()

  /** Something is done to a connection that may end it at its node alone. */
  troubled(client: string): void {
    const conn = this.#conns.findLast(one => one.client === client)
    if (conn !== undefined) this.#troubled.add(conn)
  }

  #isTroubled(conn: Conn): boolean {
    return this.#troubled.has(conn)
  }

  #isForbidden(client: string, topic: string, at: number): boolean {
    if (topic.startsWith('s/') && this.#terms.isBarred(client)) return true
    if (!topic.startsWith('x/')) return false
    // Until the next CONNECT, which is authenticated anew.
    const since = this.#revoked.findLast(one => one.client === client && one.at < at - slackMs)?.at
    return since !== undefined && !this.#conns.some(one => one.client === client && one.sentAt > since - slackMs)
  }

  // ---- what must hold at rest

  /** All faults are over, all clients are connected and quiet. `retained`: what a new subscriber of each node got. */
  check(retained: ReadonlyMap<string, ReadonlyMap<string, string>>, since: number, watcher: string): void {
    this.#checkKept()
    this.#checkShared()
    this.#checkRetained(retained, since)
    this.#checkWills(watcher)
  }

  /** What was acknowledged has reached whoever had subscribed before it was published and stayed until it was acknowledged. */
  #checkKept(): void {
    for (const life of this.#lives) {
      if (life.endedAt !== null || life.vague || this.#current.get(life.client) !== life || life.conn.endAt !== null) continue
      const heard = new Set(life.heard.map(({ id }) => id))
      for (const sent of this.#sent.values()) {
        if (sent.ackedAt === null || sent.refused || sent.qos === 0 || heard.has(sent.id) || (sent.empty && sent.retain)) continue
        if (
          sent.expiryMs !== null ||
          this.#isForbidden(life.client, sent.topic, Number.POSITIVE_INFINITY) ||
          this.#isForbidden(sent.client, sent.topic, sent.sentAt)
        )
          continue
        if (sent.topic.startsWith('x/') && this.#revoked.some(({ client }) => client === life.client || client === sent.client)) continue
        if (sent.topic.startsWith('s/') && (this.#terms.isBarred(life.client) || this.#terms.isBarred(sent.client))) continue
        if (this.#couldOverflow(life)) continue
        if (life.rewrittenAt !== null && sent.sentAt <= life.rewrittenAt) continue
        const owed = life.subs.find(
          sub =>
            sub.group === null &&
            sub.granted !== null &&
            sub.granted > 0 &&
            sub.granted < 0x80 &&
            sub.onAt! <= sent.sentAt &&
            (sub.leavesAt === null || sub.leavesAt > sent.ackedAt!) &&
            matches(sub.topics, sent.topic) &&
            !(sub.noLocal && sent.client === life.client),
        )
        if (owed !== undefined)
          this.wrong(`${sent.id} was acknowledged and did not reach ${life.client}, which has subscribed to ${owed.filter}`)
      }
    }
  }

  #couldOverflow(life: Life): boolean {
    return this.#terms.queueMax < this.#sent.size && life.client !== ''
  }

  /** Of a shared group somebody has got each message, once at QoS 2 unless a member's session has ended. */
  #checkShared(): void {
    const groups = new Map<string, { readonly life: Life; readonly sub: Sub }[]>()
    for (const life of this.#lives) {
      for (const sub of life.subs) {
        if (sub.group === null) continue
        const members = groups.get(sub.filter) ?? []
        members.push({ life, sub })
        groups.set(sub.filter, members)
      }
    }
    for (const [filter, members] of groups) {
      const isStable = members.every(
        ({ life, sub }) =>
          life.endedAt === null &&
          !life.vague &&
          life.durable &&
          sub.leavesAt === null &&
          sub.granted !== null &&
          sub.granted > 0 &&
          sub.granted < 0x80,
      )
      if (!isStable || this.#terms.queueMax < this.#sent.size) continue
      const since = Math.max(Math.min(...members.map(({ sub }) => sub.onAt!)), ...members.map(({ life }) => life.rewrittenAt ?? 0))
      for (const sent of this.#sent.values()) {
        if (sent.ackedAt === null || sent.refused || sent.qos === 0 || sent.expiryMs !== null || sent.sentAt < since || sent.empty) continue
        if (!matches(members[0]!.sub.topics, sent.topic) || sent.topic.startsWith('s/') || sent.topic.startsWith('x/')) continue
        const got = members.filter(({ life }) => life.heard.some(({ id }) => id === sent.id))
        if (got.length === 0) this.wrong(`${sent.id} was acknowledged and reached no member of ${filter}`)
        const others = (life: Life): boolean => life.subs.some(sub => sub.filter !== filter && matches(sub.topics, sent.topic))
        if (got.length > 1 && sent.sends === 1 && !got.some(({ life }) => others(life)))
          this.wrong(`${sent.id} reached ${got.length} members of ${filter}`)
      }
    }
  }

  /** Each topic has the message that was published to it last, on all nodes; where two were under way at once, either. */
  #checkRetained(retained: ReadonlyMap<string, ReadonlyMap<string, string>>, since: number): void {
    const [first, ...others] = [...retained]
    for (const [node, found] of others)
      for (const topic of new Set([...found.keys(), ...first![1].keys()]))
        if (found.get(topic) !== first![1].get(topic))
          this.wrong(`${topic}: ${node} retains ${found.get(topic)}, ${first![0]} ${first![1].get(topic)}`)
    const byTopic = new Map<string, Sent[]>()
    for (const sent of this.#sent.values())
      if (sent.retain && !sent.forbidden && !this.#isForbidden(sent.client, sent.topic, sent.sentAt))
        byTopic.set(sent.topic, [...(byTopic.get(sent.topic) ?? []), sent])
    for (const [topic, all] of byTopic) {
      if (topic.startsWith('x/') || topic.startsWith('s/')) continue
      // Somebody still publishes to it while it is looked at.
      if (all.some(({ sentAt, ackedAt }) => sentAt >= since || (ackedAt ?? 0) >= since)) continue
      const last = this.#terms.keeperOf('') === null ? 0 : this.#emptiedAt
      // Overtaken for sure: another that was kept came after it.
      const isOver = (sent: Sent): boolean =>
        all.some(one => one !== sent && one.ackedAt !== null && sent.ackedAt !== null && one.sentAt > sent.ackedAt && one.sentAt > last)
      const id = first![1].get(topic)
      if (id?.startsWith('w') === true) continue
      const standing = all.filter(sent => sent.ackedAt !== null && sent.sentAt > last && !isOver(sent))
      if (id === undefined) {
        const mayBeGone = standing.length === 0 || all.some(sent => !isOver(sent) && (sent.empty || sent.expiryMs !== null))
        if (!mayBeGone) this.wrong(`${topic}: nothing is retained, ${standing.map(sent => sent.id).join(' or ')} should be`)
        continue
      }
      const sent = this.#sent.get(id)
      if (sent === undefined || !sent.retain) this.wrong(`${topic}: ${id} is retained, which nobody has retained`)
      else if (isOver(sent)) this.wrong(`${topic}: ${id} is retained, which was overtaken by ${standing.map(one => one.id).join(' or ')}`)
    }
  }

  /** Each will once, if its client has gone without a good-bye, and never if not. */
  #checkWills(watcher: string): void {
    const lives = this.#lives.filter(({ client }) => client === watcher)
    const heard = lives.flatMap(life => life.heard).filter(({ id, retain }) => id.startsWith('w') && !retain)
    const isWhole = lives.length === 1
    for (const will of this.#wills) {
      const { conn } = will
      if (conn?.connackAt == null) continue
      const count = heard.filter(({ id }) => id === will.id).length
      const crashed = this.#crashes.some(({ node, at }) => node === conn.node && at >= conn.sentAt)
      if (count > 1 && will.qos === 2 && !crashed) this.wrong(`the will ${will.id} of ${conn.client} was published ${count} times`)
      if (count === 0 && isWhole && will.qos > 0 && this.#isWillOwed(will, conn, lives[0]!))
        this.wrong(`the will ${will.id} of ${conn.client} was not published`)
    }
  }

  #isWillOwed(will: WillModel, conn: Conn, watcher: Life): boolean {
    const own = conn.end === 'dropped' || conn.end === 'vanished' || conn.end === 'leftWithWill'
    if (!own || conn.endAt === null || conn.connackAt! < watcher.subs[0]!.onAt!) return false
    // Without a keep-alive nobody notices.
    if (conn.end === 'vanished' && conn.keepAliveMs === 0) return false
    const crash = this.#crashes.some(
      ({ node, at, how }) =>
        node === conn.node &&
        at >= conn.sentAt &&
        ((this.#terms.nodes === 1 && this.#isKeptBy(conn)) || how === 'stop' || at - conn.connackAt! < 2000),
    )
    if (crash) return false
    const keeper = this.#terms.keeperOf(conn.client)
    if (this.#terms.nodes > 1 && this.#crashes.some(({ node, at }) => node === keeper && at >= conn.sentAt)) return false
    if (this.#terms.nodes > 1 && keeper !== null && this.#emptiedAt >= conn.sentAt) return false
    // A will that is due while the store takes nothing has nobody who would send it again.
    if (this.#storeFaults.some(({ from, until }) => from <= this.#world.now && until + slackMs >= conn.connackAt!)) return false
    if (conn.end === 'leftWithWill' && this.#isTroubled(conn)) return false
    // Before its time was over the client may have come back.
    const delay = Math.min(will.delayMs, conn.expiryMs)
    if (
      conn.durable &&
      delay > 0 &&
      this.#conns.some(
        one =>
          one.client === conn.client &&
          one.sentAt > conn.sentAt &&
          one.sentAt < conn.endAt! + delay * 1.01 + slackMs + conn.keepAliveMs * 1.5,
      )
    )
      return false
    return this.#world.now > conn.endAt + delay * 1.01 + slackMs + conn.keepAliveMs * 1.5
  }
}
