import { matches } from '../../core/routing/topic.ts'
import { type Conn, type History, type Life, type Sent, type Sub, slackMs, type WillModel } from './history.ts'

/** What must hold when faults are over and all is quiet. */
export class AtRest {
  readonly #history: History

  constructor(history: History) {
    this.#history = history
  }

  /** All faults are over, all clients are connected and quiet. `retained`: what a new subscriber of each node got. */
  check(retained: ReadonlyMap<string, ReadonlyMap<string, string>>, since: number, watcher: string): void {
    this.#checkKept()
    this.#checkShared()
    this.#checkRetained(retained, since)
    this.#checkWills(watcher)
    for (const { conn, will, at } of this.#history.unheardEnds)
      if (conn.endAt === null || conn.endAt > at + slackMs)
        this.#history.wrong(`the will ${will} of ${conn.client} was published, and its connection goes on`)
  }

  /** What was acknowledged has reached whoever had subscribed before it was published and stayed until it was acknowledged. */
  #checkKept(): void {
    for (const life of this.#history.lives) {
      if (life.endedAt !== null || life.vague || this.#history.current.get(life.client) !== life || life.conn.endAt !== null) continue
      const heard = new Set(life.heard.map(({ id }) => id))
      for (const sent of this.#history.sent.values()) {
        if (sent.ackedAt === null || sent.refused || sent.qos === 0 || heard.has(sent.id) || (sent.empty && sent.retain)) continue
        if (
          sent.expiryMs !== null ||
          this.#history.isForbidden(life.client, sent.topic, Number.POSITIVE_INFINITY) ||
          this.#history.isForbidden(sent.client, sent.topic, sent.sentAt)
        )
          continue
        if (sent.topic.startsWith('x/') && this.#history.revocations.some(({ client }) => client === life.client || client === sent.client))
          continue
        if (sent.topic.startsWith('s/') && (this.#history.terms.isBarred(life.client) || this.#history.terms.isBarred(sent.client)))
          continue
        if (this.#couldOverflow(life)) continue
        if (life.rewrittenAt !== null && sent.sentAt <= life.rewrittenAt) continue
        if (!life.durable && this.#couldBeKnownOnly(sent)) continue
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
          this.#history.wrong(`${sent.id} was acknowledged and did not reach ${life.client}, which has subscribed to ${owed.filter}`)
      }
    }
  }

  // Its worker died while it handed it to the others, and the publisher's next connection finds its packet identifier: docs/scaling.md.
  #couldBeKnownOnly({ qos, conn, sentAt, ackedAt }: Sent): boolean {
    const { terms, crashes } = this.#history
    return terms.nodes > 1 && qos === 2 && crashes.some(({ node, at }) => node === conn.node && at >= sentAt && at <= ackedAt!)
  }

  #couldOverflow(life: Life): boolean {
    return this.#history.terms.queueMax < this.#history.sent.size && life.client !== ''
  }

  /** Of a shared group somebody has got each message, once at QoS 2 unless a member's session has ended. */
  #checkShared(): void {
    const groups = new Map<string, { readonly life: Life; readonly sub: Sub }[]>()
    for (const life of this.#history.lives) {
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
      if (!isStable || this.#history.terms.queueMax < this.#history.sent.size) continue
      const since = Math.max(Math.min(...members.map(({ sub }) => sub.onAt!)), ...members.map(({ life }) => life.rewrittenAt ?? 0))
      for (const sent of this.#history.sent.values()) {
        if (sent.ackedAt === null || sent.refused || sent.qos === 0 || sent.expiryMs !== null || sent.sentAt < since || sent.empty) continue
        if (!matches(members[0]!.sub.topics, sent.topic) || sent.topic.startsWith('s/') || sent.topic.startsWith('x/')) continue
        const got = members.filter(({ life }) => life.heard.some(({ id }) => id === sent.id))
        if (got.length === 0) this.#history.wrong(`${sent.id} was acknowledged and reached no member of ${filter}`)
        const others = (life: Life): boolean => life.subs.some(sub => sub.filter !== filter && matches(sub.topics, sent.topic))
        if (got.length > 1 && sent.sends === 1 && !got.some(({ life }) => others(life)))
          this.#history.wrong(`${sent.id} reached ${got.length} members of ${filter}`)
      }
    }
  }

  /** Each topic has the message that was published to it last, on all nodes; where two were under way at once, either. */
  #checkRetained(retained: ReadonlyMap<string, ReadonlyMap<string, string>>, since: number): void {
    const [first, ...others] = [...retained]
    for (const [node, found] of others)
      for (const topic of new Set([...found.keys(), ...first![1].keys()]))
        if (found.get(topic) !== first![1].get(topic))
          this.#history.wrong(`${topic}: ${node} retains ${found.get(topic)}, ${first![0]} ${first![1].get(topic)}`)
    const byTopic = new Map<string, Sent[]>()
    for (const sent of this.#history.sent.values())
      if (sent.retain && !sent.forbidden && !this.#history.isForbidden(sent.client, sent.topic, sent.sentAt))
        byTopic.set(sent.topic, [...(byTopic.get(sent.topic) ?? []), sent])
    for (const [topic, all] of byTopic) {
      if (topic.startsWith('x/') || topic.startsWith('s/')) continue
      // Somebody still publishes to it while it is looked at.
      if (all.some(({ sentAt, ackedAt }) => sentAt >= since || (ackedAt ?? 0) >= since)) continue
      const last = this.#history.terms.keeperOf('') === null ? 0 : this.#history.emptiedAt
      // Overtaken for sure: another that was kept came after it.
      const isOver = (sent: Sent): boolean =>
        all.some(one => one !== sent && one.ackedAt !== null && sent.ackedAt !== null && one.sentAt > sent.ackedAt && one.sentAt > last)
      const id = first![1].get(topic)
      if (id?.startsWith('w') === true) continue
      const standing = all.filter(sent => sent.ackedAt !== null && sent.sentAt > last && !isOver(sent))
      if (id === undefined) {
        const mayBeGone = standing.length === 0 || all.some(sent => !isOver(sent) && (sent.empty || sent.expiryMs !== null))
        if (!mayBeGone) this.#history.wrong(`${topic}: nothing is retained, ${standing.map(sent => sent.id).join(' or ')} should be`)
        continue
      }
      const sent = this.#history.sent.get(id)
      if (sent === undefined || !sent.retain) this.#history.wrong(`${topic}: ${id} is retained, which nobody has retained`)
      else if (isOver(sent))
        this.#history.wrong(`${topic}: ${id} is retained, which was overtaken by ${standing.map(one => one.id).join(' or ')}`)
    }
  }

  /** Each will once, if its client has gone without a good-bye, and never if not. */
  #checkWills(watcher: string): void {
    const lives = this.#history.lives.filter(({ client }) => client === watcher)
    const heard = lives.flatMap(life => life.heard).filter(({ id, retain }) => id.startsWith('w') && !retain)
    const isWhole = lives.length === 1
    for (const will of this.#history.wills) {
      const { conn } = will
      if (conn?.connackAt == null) continue
      const count = heard.filter(({ id }) => id === will.id).length
      const crashed = this.#history.crashes.some(({ node, at }) => node === conn.node && at >= conn.sentAt)
      if (count > 1 && will.qos === 2 && !crashed) this.#history.wrong(`the will ${will.id} of ${conn.client} was published ${count} times`)
      if (count === 0 && isWhole && will.qos > 0 && this.#isWillOwed(will, conn, lives[0]!))
        this.#history.wrong(`the will ${will.id} of ${conn.client} was not published`)
    }
  }

  #isWillOwed(will: WillModel, conn: Conn, watcher: Life): boolean {
    const own = conn.end === 'dropped' || conn.end === 'vanished' || conn.end === 'leftWithWill'
    if (!own || conn.endAt === null || conn.connackAt! < watcher.subs[0]!.onAt!) return false
    // Without a keep-alive nobody notices.
    if (conn.end === 'vanished' && conn.keepAliveMs === 0) return false
    const crash = this.#history.crashes.some(
      ({ node, at, how }) =>
        node === conn.node &&
        at >= conn.sentAt &&
        ((this.#history.terms.nodes === 1 && this.#history.isKeptBy(conn)) || how === 'stop' || at - conn.connackAt! < 2000),
    )
    if (crash) return false
    const keeper = this.#history.terms.keeperOf(conn.client)
    if (this.#history.terms.nodes > 1 && this.#history.crashes.some(({ node, at }) => node === keeper && at >= conn.sentAt)) return false
    if (this.#history.terms.nodes > 1 && keeper !== null && this.#history.emptiedAt >= conn.sentAt) return false
    // A will that is due while the store takes nothing has nobody who would send it again.
    if (this.#history.storeFaults.some(({ from, until }) => from <= this.#history.world.now && until + slackMs >= conn.connackAt!))
      return false
    if (conn.end === 'leftWithWill' && this.#history.isTroubled(conn)) return false
    // Whoever comes back while the node stands still is answered without what it has left there.
    const others = this.#history.conns.filter(one => one.client === conn.client && one.sentAt > conn.sentAt)
    if (others.some(({ sentAt, connackAt }) => this.#history.isLeftOut(conn.node, sentAt, connackAt ?? sentAt + slackMs))) return false
    // Before its time was over the client may have come back.
    const delay = Math.min(will.delayMs, conn.expiryMs)
    if (
      conn.durable &&
      delay > 0 &&
      this.#history.conns.some(
        one =>
          one.client === conn.client &&
          one.sentAt > conn.sentAt &&
          one.sentAt < conn.endAt! + delay * 1.01 + slackMs + conn.keepAliveMs * 1.5,
      )
    )
      return false
    return this.#history.world.now > conn.endAt + delay * 1.01 + slackMs + conn.keepAliveMs * 1.5
  }
}
