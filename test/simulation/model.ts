import { Deliveries } from './deliveries.ts'
import { type Conn, type Delivery, History, type Life, type ModelTerms, slackMs } from './history.ts'
import { AtRest } from './rest.ts'
import type { World } from './world/world.ts'

// Ends of sessions are looked for once a second, and clocks drift.
const sweepMs = 2_500

/**
 * What must hold, whatever happens. Clients tell it what they say and hear; it never looks into a broker. Where the order of two things is not known, both orders are right. Here is what
 * must hold of sessions and connections; `deliveries.ts` says it of each message that comes, `rest.ts` of what there is at the end.
 */
export class Model extends History {
  readonly #deliveries: Deliveries
  readonly #atRest: AtRest

  constructor(world: World, terms: ModelTerms) {
    super(world, terms)
    this.#deliveries = new Deliveries(this)
    this.#atRest = new AtRest(this)
  }

  /** CONNACK has come: a session goes on, or a new one begins. */
  connected(conn: Conn, present: boolean): Life {
    conn.connackAt = this.world.now
    this.world.note(`${conn.client} connected at ${conn.node}${present ? ', session present' : ''}`)
    const before = this.current.get(conn.client)
    const expected = this.#isPresent(before, conn)
    if (present && expected === false) this.wrong(`${conn.client}: Session Present, though no session can be there`)
    if (!present && expected === true) this.wrong(`${conn.client}: its session is gone`)
    if (present && before?.durable === true && !before.lost && !this.#mayBeAnother(before, conn)) {
      conn.life = before
      before.conn = conn
      before.endedAt = null
      return before
    }
    if (before !== undefined) before.endedAt ??= this.world.now
    const life: Life = {
      client: conn.client,
      node: conn.node,
      durable: conn.durable,
      beganAt: this.world.now,
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
    if (this.isKeptBy(conn) && this.hasDied(conn, conn.sentAt)) {
      life.lost = true
      life.endedAt = this.world.now
    }
    this.lives.push(life)
    this.current.set(conn.client, life)
    return life
  }

  /** `undefined`: either is right. */
  #isPresent(life: Life | undefined, conn: Conn): boolean | undefined {
    if (conn.clean) return false
    // Attempts of which nobody knows what became of them may have ended it, or begun one.
    const since = life?.conn.sentAt ?? 0
    const unclear = this.conns.some(one => one.client === conn.client && one !== conn && one.sentAt > since && one.connackAt === null)
    // The answer may be from before its node died.
    const isLate = this.hasDied(conn, conn.sentAt)
    // Of several nodes one may not have noticed yet that the client had left it, and wrote the session again.
    const mayBeRewritten = life?.lost === true && this.terms.nodes > 1
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
    const early = (conn.connackAt ?? this.world.now) - last.endAt + (last.end === 'closed' || last.end === 'stolen' ? slackMs : 0)
    if (early + sweepMs < last.expiryMs) return unclear && this.#wasCleaned(last, conn) ? undefined : true
    // Nobody notices that it is gone.
    if (last.end === 'vanished' && last.keepAliveMs === 0) return undefined
    const late = conn.sentAt - last.endAt - slackMs - last.keepAliveMs * 1.5 - sweepMs
    return late > last.expiryMs * 1.01 && !unclear ? false : undefined
  }

  /** A machine was started anew while its wall clock was wrong: nobody knows how long its broker was away. */
  #isTimeUnknown(conn: Conn): boolean {
    return this.crashes.some(
      ({ at, how }) => how === 'power' && this.clockSteps.some(step => step > at - 10_000 && step < (conn.connackAt ?? this.world.now)),
    )
  }

  /** An attempt without an answer may have ended the session and begun another. */
  #mayBeAnother(life: Life, conn: Conn): boolean {
    return this.conns.some(
      one =>
        one.client === conn.client &&
        one !== conn &&
        one.sentAt > life.conn.sentAt &&
        one.connackAt === null &&
        (one.clean || this.#isPresent(life, one) !== true),
    )
  }

  #wasCleaned(last: Conn, conn: Conn): boolean {
    return this.conns.some(one => one.client === conn.client && one !== conn && one.sentAt > last.sentAt && one.clean)
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
    this.world.note(`${conn.client} receives ${id} on ${topic} qos ${qos}${dup ? ' dup' : ''}${retain ? ' retain' : ''}`)
    const delivery: Delivery = { id, topic, at: this.world.now, qos, retain, dup, conn }
    life.heard.push(delivery)
    if (id === '') return
    if (id.startsWith('w')) return this.#deliveries.mayHearWill(life, delivery, topic)
    const sent = this.sent.get(id)
    if (sent === undefined || sent.topic !== topic)
      return this.wrong(`${conn.client} receives ${id} on ${topic}, which nobody has published`)
    this.#deliveries.mayHear(life, delivery, sent)
    const left = packet.properties?.messageExpiryInterval
    if (left !== undefined && (sent.expiryMs === null || left * 1000 > sent.expiryMs))
      this.wrong(`${conn.client} receives ${id} with an expiry of ${left} s`)
  }

  /** A connection that another has taken the place of is still open long after. */
  stillOpen(conn: Conn): void {
    const later = this.conns.some(one => one.client === conn.client && one.sentAt > conn.sentAt && one.connackAt !== null)
    if (later) this.wrong(`${conn.client} has a connection that another has taken the place of long ago`)
  }

  /** A connection that another has taken the place of hears something. */
  stale(conn: Conn, payload: string): void {
    const sent = this.sent.get(payload.split('|')[0]!)
    const later = this.conns.find(one => one.client === conn.client && one.sentAt > conn.sentAt && one.connackAt !== null)
    // Its node is not waited for while it stands still, and does not know yet.
    if (later !== undefined && this.isLeftOut(conn.node, later.sentAt, later.connackAt!)) return
    if (sent !== undefined && later !== undefined && sent.sentAt > later.connackAt!)
      this.wrong(`${conn.client} receives ${sent.id} on a connection that another had taken the place of before`)
  }

  /** All faults are over, all clients are connected and quiet. `retained`: what a new subscriber of each node got. */
  check(retained: ReadonlyMap<string, ReadonlyMap<string, string>>, since: number, watcher: string): void {
    this.#atRest.check(retained, since, watcher)
  }
}
