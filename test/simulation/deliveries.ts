import { matches } from '../../core/routing/topic.ts'
import { type Conn, type Delivery, type History, type Life, type Sent, type Sub, slackMs, type WillModel } from './history.ts'

/** What must hold of each message that a client receives. */
export class Deliveries {
  readonly #history: History

  constructor(history: History) {
    this.#history = history
  }

  mayHear(life: Life, { at, qos, retain, dup, conn, id }: Delivery, sent: Sent): void {
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
    if (fitting.length === 0) return this.#history.wrong(`${life.client} receives ${id} on ${sent.topic}, to which it has not subscribed`)
    const best = Math.min(sent.qos, Math.max(...fitting.map(sub => sub.qos)))
    if (qos > best) this.#history.wrong(`${life.client} receives ${id} at QoS ${qos}, at most ${best} is right`)
    if (sent.forbidden) this.#history.wrong(`${life.client} receives ${id}, which was refused`)
    if (this.#history.isForbidden(life.client, sent.topic, sent.sentAt))
      this.#history.wrong(`${life.client} receives ${id} on ${sent.topic}, which it has no right to`)
    if (this.#history.isForbidden(sent.client, sent.topic, sent.sentAt))
      this.#history.wrong(`${life.client} receives ${id}, whose publisher has no right to ${sent.topic}`)
    // A repeat may be late: it was on its way in time.
    if (sent.expiryMs !== null && !dup && at > (sent.ackedAt ?? sent.sentAt + slackMs) + sent.expiryMs * 1.01 + slackMs)
      this.#history.wrong(
        `${life.client} receives ${id} ${((at - sent.sentAt) / 1000).toFixed(1)} s after it was published, it expires after ${sent.expiryMs / 1000}`,
      )
    if (conn.life !== life) this.#history.wrong(`${life.client}: a message of another session`)
    if (retain && sent.empty) this.#history.wrong(`${life.client} is sent ${id} as a retained message, which is empty`)
    if (!sent.retain && !retain) this.#mayHearAgain(life, sent, fitting)
    if (retain && !sent.retain) this.#history.wrong(`${life.client} receives ${id} with the RETAIN flag, which its publisher did not set`)
  }

  /** QoS 2 once; otherwise as often as it was sent, and again only with the DUP flag. */
  #mayHearAgain(life: Life, sent: Sent, fitting: readonly Sub[]): void {
    const copies = life.heard.filter(one => one.id === sent.id)
    const groups = new Set(fitting.flatMap(({ group, topics }) => (group === null ? [] : [`${group}/${topics}`]))).size
    const ways = groups + (fitting.some(({ group }) => group === null) ? 1 : 0)
    if (copies.at(-1)!.qos === 2) {
      if (groups === 0 && copies.filter(({ qos }) => qos === 2).length > ways && !this.#history.couldNotKeep(sent))
        this.#history.wrong(`${life.client} receives ${sent.id} twice at QoS 2`)
    } else if (groups === 0 && copies.filter(({ dup }) => !dup).length > ways * this.#timesSent(sent, copies.at(-1)!.qos)) {
      this.#history.wrong(`${life.client} receives ${sent.id} more often than it was sent`)
    }
    this.#inOrder(life, sent, fitting)
  }

  /** How often subscribers may hear a message, by the QoS that they get it with. At QoS 0 it leaves before its identifier is kept. */
  #timesSent(sent: Sent, qos: number): number {
    if (sent.qos < 2 || this.#history.couldNotKeep(sent)) return sent.sends
    return qos === 0 && this.#history.diedUnanswered(sent) ? sent.sends : 1
  }

  /** What one client publishes to one topic at one QoS comes in that order, first copies only. */
  #inOrder(life: Life, sent: Sent, fitting: readonly Sub[]): void {
    if (fitting.some(({ group }) => group !== null) || life.subs.some(({ group, topics }) => group !== null && matches(topics, sent.topic)))
      return
    const last = life.heard.at(-1)!
    if (life.heard.some(one => one !== last && one.id === sent.id)) return
    for (let i = life.heard.length - 2; i >= 0; i--) {
      const before = this.#history.sent.get(life.heard[i]!.id)
      if (before === undefined || before.client !== sent.client || before.topic !== sent.topic || before.qos !== sent.qos || before.retain)
        continue
      if (life.heard[i]!.qos !== last.qos) continue
      // One that was dropped from a full queue, or because it had expired, and not acknowledged, comes again.
      // The same where it was not yet subscribed to when it was sent first.
      // And one of the nodes that were to keep it may have died, while others have it.
      const isNew =
        (sent.sends > 1 &&
          (sent.expiryMs !== null ||
            this.#history.terms.queueMax < this.#history.sent.size ||
            fitting.some(({ onAt }) => onAt === null || onAt > sent.sentAt))) ||
        (this.#history.terms.nodes > 1 && this.#history.couldNotKeep(sent))
      // What it sent by a connection before comes when that one's worker goes on, which the others have not waited for.
      const isLeft = sent.conn !== before.conn && this.#history.isLeftOut(sent.conn.node, sent.sentAt, last.at)
      if (before.n > sent.n && !isNew && !isLeft)
        this.#history.wrong(`${life.client} receives ${sent.id} behind ${before.id}, which was published later`)
      return
    }
  }

  mayHearWill(life: Life, { id, at }: Delivery, topic: string): void {
    const will = this.#history.wills.find(one => one.id === id)
    if (will?.conn == null || will.topic !== topic) return this.#history.wrong(`${life.client} receives the will ${id}, which there is not`)
    const { conn } = will
    if (conn.end === 'left') {
      // It may have been left in the moment in which the connection broke, or behind a publish for which the node closed it.
      const isOvertaken = this.#history.conns.some(
        one => one.client === conn.client && one.sentAt > conn.sentAt && one.sentAt < conn.endAt! + slackMs,
      )
      if (
        !isOvertaken &&
        !this.#history.endedBefore(conn) &&
        !this.#couldNotBeHeard(conn) &&
        !this.#history.storeFaults.some(({ until }) => until + slackMs >= conn.sentAt)
      )
        this.#history.wrong(`${life.client} receives the will ${id} of ${conn.client}, which has said good-bye`)
      return
    }
    if (conn.endAt === null) {
      if (conn.connackAt !== null && !this.#history.endedBefore(conn) && at - conn.connackAt > slackMs) {
        if (!this.#history.hasWorkerDied(conn.sentAt, at)) return this.#tooEarly(life, will)
        this.#history.unheardEnds.push({ conn, will: id, at })
      }
      return
    }
    const own = conn.end === 'dropped' || conn.end === 'vanished' || conn.end === 'leftWithWill'
    if (own && conn.connackAt !== null && conn.durable && !this.#history.endedBefore(conn)) {
      const dueAt = conn.endAt + Math.min(will.delayMs, conn.expiryMs) * 0.99
      // A new session ends the old one, and its will is due.
      const ended = this.#history.conns.some(one => one.client === conn.client && one.sentAt > conn.sentAt && one.clean)
      if (at < dueAt - 5 && !ended) this.#history.wrong(`${life.client} receives the will ${id} ${(dueAt - at).toFixed(0)} ms early`)
    }
  }

  /** Its DISCONNECT stood behind a publish that a worker was to keep which died: the client was disconnected before it was heard. */
  #couldNotBeHeard(conn: Conn): boolean {
    const endAt = conn.endAt!
    const waited = [...this.#history.sent.values()].some(
      sent => sent.client === conn.client && sent.qos > 0 && sent.sentAt <= endAt && (sent.ackedAt ?? Number.POSITIVE_INFINITY) > endAt,
    )
    return waited && this.#history.hasWorkerDied(conn.sentAt, endAt + slackMs)
  }

  #tooEarly(life: Life, will: WillModel): void {
    this.#history.wrong(`${life.client} receives the will ${will.id} of ${will.conn!.client}, which is connected`)
  }
}
