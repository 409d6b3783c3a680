import type { Message } from '../messages/message.ts'
import { DeliveryTerms } from '../routing/delivery-terms.ts'
import { matches, parseShare } from '../routing/topic.ts'
import type { KnownSession, SessionHost } from './known-session.ts'
import { isHigh, isLow, queuedBytes } from './queue-policy.ts'
import { inSendOrder } from './send-order.ts'
import type { Claim, QueueEntry } from './session-store.ts'
import { Handshake } from './window.ts'

const pageSize = 100

/**
 * Reads a durable session's queue from its store, a page at a time and the next only when the window has room. What a
 * connection before had in flight comes first and goes out again with DUP and its old packet identifier, in order.
 */
export class StoredBacklog {
  readonly #session: KnownSession
  readonly #host: SessionHost
  // Everything up to this position is in flight or done.
  #position = 0
  #stopped = false
  #reading = false
  // The first page after a resume is still to be read.
  #resumed = false
  // Rises with each message put behind the window, so that a page read before it does not count as the last.
  #appends = 0
  // Something in the store may have come by rights that have gone since: until all of it is read, each message is asked about.
  #checking = false
  // How often the client's rights have changed.
  #rechecks = 0
  // Acknowledged, or given up, while a page was on its way: that page may still show them.
  readonly #ackedMeanwhile = new Set<number>()
  // QoS 0 messages that leave when the store has let go of them.
  #leaving = 0
  // What the stored queue holds, in flight or not, as far as it can be known here…
  #messages = 0
  #bytes = 0
  // …which is not quite where another node has appended, or the store has dropped.
  #inexact = false
  // Filters by which messages were stored with the RETAIN flag that they were published with, where the client's version does not know that.
  #asPublished: readonly string[] = []
  /** Messages wait in the store: new ones must queue behind them. */
  waiting = false

  constructor(session: KnownSession, host: SessionHost) {
    this.#session = session
    this.#host = host
  }

  /** The session had a connection before: begin at the front of its queue, which holds so much. */
  resume({ messages, bytes }: Claim['queued']): void {
    this.waiting = true
    this.#resumed = true
    this.#checking = true
    this.#messages = messages
    this.#bytes = bytes
    const { plain, subscriptions } = this.#session
    if (!plain) return
    const asPublished = [...subscriptions.values()].filter(({ retainAsPublished }) => retainAsPublished)
    this.#asPublished = asPublished.map(({ filter }) => parseShare(filter)?.filter ?? filter)
  }

  /** The client's rights have changed: what waits in the store is asked about before it goes out. */
  recheck(): void {
    this.#checking = this.waiting
    this.#rechecks += 1
  }

  /** Something stands before what comes now. */
  get busy(): boolean {
    return this.waiting || this.#leaving > 0
  }

  /** Messages in the stored queue, in flight or not. */
  get length(): number {
    return this.#messages
  }

  get high(): boolean {
    return isHigh(this.#host.queueLimits, this.#messages, this.#bytes)
  }

  get low(): boolean {
    return isLow(this.#host.queueLimits, this.#messages, this.#bytes)
  }

  /** The stored queue is about to hold one more. */
  added(message: Message, identifiers: readonly number[] | null): void {
    this.#messages += 1
    this.#bytes += queuedBytes(message, identifiers)
  }

  /** The stored queue holds one less. */
  removed(message: Message, identifiers: readonly number[] | null): void {
    this.#messages = Math.max(0, this.#messages - 1)
    this.#bytes = Math.max(0, this.#bytes - queuedBytes(message, identifiers))
  }

  /** The store has dropped one, which may be on its way here all the same. */
  dropped(message: Message): void {
    // By which subscriptions it came is not known here: what follows from it is counted anew.
    this.removed(message, null)
    this.#inexact = true
  }

  /** One more message was put behind the window. */
  appended(): void {
    this.waiting = true
    this.#appends += 1
  }

  /** Another node did that. */
  appendedElsewhere(): void {
    this.appended()
    this.#messages += 1
    this.#inexact = true
  }

  /** `message` is null where it was given up and is not counted any more. */
  acked(packetId: number, message: Message | null, identifiers: readonly number[] | null): void {
    if (message !== null) this.removed(message, identifiers)
    if (this.#reading) this.#ackedMeanwhile.add(packetId)
  }

  stop(): void {
    this.#stopped = true
  }

  pump(): void {
    while (this.waiting && !this.#reading && !this.#stopped && this.#room) {
      const appends = this.#appends
      const { window, client } = this.#session
      const host = this.#host
      const { sessions } = host
      // The first page reaches as far as anything may be in flight, because a PUBREL does not wait for room in the window. Later
      // ones are no longer than the room there is: an acknowledgement at a time must not cost a hundred messages read.
      const limit = this.#resumed ? Math.max(pageSize, host.settings.mqtt.inflightMax) : Math.min(pageSize, window!.limit - window!.count)
      this.#resumed = false
      const page = sessions.page(this.#session, this.#position, limit)
      if (page instanceof Promise) {
        this.#reading = true
        page.then(
          entries => {
            this.#reading = false
            // The connection has ended meanwhile, and its window with it.
            if (this.#stopped) return
            this.#sendPage(entries, appends, limit)
            this.#ackedMeanwhile.clear()
            this.pump()
          },
          error => {
            this.#reading = false
            host.storeFailed(this.#session, error, client)
          },
        )
        return
      }
      this.#sendPage(page, appends, limit)
    }
  }

  get #room(): boolean {
    const { client, window } = this.#session
    return client !== null && window?.hasRoom === true && !client.outbox.blocked
  }

  #sendPage(entries: readonly QueueEntry[], appends: number, limit: number): void {
    // What was in flight goes first, though a message that another node appended may stand before it: a new message must not
    // get one of its identifiers.
    let end = entries.length
    const inFlight = entries.filter(({ packetId }) => packetId !== 0)
    for (const entry of inSendOrder(inFlight, this.#host.settings.mqtt.inflightMax)) {
      // What has no room stays where it is, and so does all that was sent after it.
      const isHeld = end < entries.length || !this.#room
      if (isHeld) end = Math.min(end, entries.indexOf(entry))
      if (entry.released || !isHeld) this.#again(entry) // [MQTT-3.3.4-10]
    }
    for (let i = 0; i < end; i++) {
      const entry = entries[i]!
      if (entry.packetId === 0) {
        if (this.#stopped || !this.#room) return
        this.#first(entry)
      }
      this.#position = entry.position
    }
    if (end < entries.length || entries.length === limit || appends !== this.#appends) return
    this.waiting = false
    this.#checking = false
    if (this.#inexact) this.#count()
  }

  // Everything there is has been read, so what is in flight is all.
  #count(): void {
    this.#inexact = false
    this.#messages = 0
    this.#bytes = 0
    for (const { message, terms } of this.#session.window!.entries()) if (message !== null) this.added(message, terms!.identifiers)
  }

  #first(entry: QueueEntry): void {
    const session = this.#session
    const { client } = session
    const host = this.#host
    const { sessions } = host
    if (!this.#mayGo(entry)) {
      this.removed(entry.message, entry.identifiers)
      session.write(sessions.remove(session, entry.position))
      session.denied({ message: entry.message, terms: this.#termsOf(entry) })
      return
    }
    if (entry.qos === 0) {
      // At most once: it is gone from the store before it goes out, and has no identifier.
      this.removed(entry.message, entry.identifiers)
      const gone = sessions.remove(session, entry.position)
      const rechecks = this.#rechecks
      const send = (): void => {
        // The rights to it may have gone while the store was at it.
        if (rechecks === this.#rechecks || this.#host.mayReceive(session, entry.message, entry.group))
          session.deliverNow(entry.message, this.#termsOf(entry))
        else session.denied({ message: entry.message, terms: this.#termsOf(entry) })
      }
      if (gone === undefined) return send()
      this.#leaving += 1
      gone
        .then(send, error => this.#host.storeFailed(session, error, client))
        .finally(() => {
          this.#leaving -= 1
        })
      return
    }
    const slot = session.window!.open().fill(entry.message, this.#termsOf(entry))
    const { packetId } = slot
    const done = sessions.send(session, entry.position, packetId)
    if (done === undefined) session.transmit(slot, false)
    else
      done.then(
        () => {
          if (!this.#stopped) session.gateOpens(packetId)
        },
        error => this.#host.storeFailed(session, error, client),
      )
  }

  #again(entry: QueueEntry): void {
    const session = this.#session
    if (this.#stopped || session.window!.find(entry.packetId) !== undefined || this.#ackedMeanwhile.has(entry.packetId)) return
    const slot = session.window!.reopen(entry.packetId).fill(entry.message, this.#termsOf(entry))
    if (entry.released) {
      slot.handshake = Handshake.AwaitPubcomp
      session.client!.sender.pubrel(entry.packetId)
    } else if (!this.#mayGo(entry)) {
      // It has been on its way once, so it goes to nobody else [MQTT-4.8.2-5].
      session.giveUp(slot, true)
      this.#host.drop(session.clientId, entry.message, 'notAuthorized')
    } else {
      session.transmit(slot, true) // [MQTT-3.3.1-1]
    }
  }

  #termsOf({ message, qos, retain, identifiers, group }: QueueEntry): DeliveryTerms {
    // What an established subscription matches comes without the flag before MQTT 5 [MQTT3-3.3.1-9].
    const kept = retain && !this.#asPublished.some(filter => matches(filter, message.topic))
    return new DeliveryTerms(qos, kept, identifiers, group)
  }

  #mayGo({ message, group }: QueueEntry): boolean {
    return !this.#checking || this.#host.mayReceive(this.#session, message, group)
  }
}
