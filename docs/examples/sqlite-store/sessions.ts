import {
  type AppendTarget,
  type Claim,
  type ClaimRequest,
  type Clock,
  type Due,
  decodeMessage,
  decodeWill,
  type EndedSession,
  encodeMessage,
  encodeWill,
  identifierBytes,
  type Message,
  type QoS,
  type QueueEntry,
  type QueueLimits,
  queuedBytes,
  type ReceivedId,
  roomFor,
  type SessionKey,
  SessionLostError,
  SessionOwnedError,
  type SessionPage,
  type SessionStore,
  type SessionStoreEvents,
  type StoredSessionState,
  type StoredSubscriber,
  type StoredWill,
  type StoreTotals,
  type Subscription,
  type Timer,
} from 'mqttx-broker'
import type { Database, Row } from './database.ts'

type Tell = (news: () => void) => void

const entries = 'SELECT queue.*, bodies.message FROM queue JOIN bodies ON bodies.id = queue.body'
const signOfLifeMs = 5000

/** The service `sessions` in SQLite, for one broker. */
export class SqliteSessions implements SessionStore {
  readonly #db: Database
  readonly #clock: Clock
  #events!: SessionStoreEvents
  #limits!: QueueLimits
  #totals: StoreTotals | null = null
  #signs: Timer | undefined

  constructor(db: Database, clock: Clock) {
    this.#db = db
    this.#clock = clock
    db.onRolledBack.push(() => {
      this.#totals = null
    })
  }

  async open(events: SessionStoreEvents, limits: QueueLimits): Promise<void> {
    this.#events = events
    this.#limits = limits
    await this.#db.work(() => this.#takeUp())
    // Each transaction says that the broker lives; where nothing happens, this does.
    this.#signs = this.#clock.every(signOfLifeMs, () => void this.#db.work(() => {}).catch(() => {}))
  }

  close(): Promise<void>
  close(session: SessionKey, expiryMs: number, keepWill: boolean, closedAt?: number): Promise<void>
  close(session?: SessionKey, expiryMs = 0, keepWill = false, closedAt = this.#clock.now()): Promise<void> {
    if (session === undefined) {
      this.#signs?.cancel()
      return Promise.resolve()
    }
    return this.#db.work(() => {
      const will = this.#owned(session).will
      const kept = keepWill && will !== null ? decodeWill(bufferOf(will)) : null
      const { clientId } = session
      this.#db.run(
        'UPDATE sessions SET node = NULL, closed_at = ?, expiry_ms = ?, expires_at = ? WHERE client_id = ?',
        closedAt,
        finite(expiryMs),
        timeAfter(closedAt, expiryMs),
        clientId,
      )
      if (kept === null) this.#db.run('UPDATE sessions SET will = NULL, will_at = NULL WHERE client_id = ?', clientId)
      else this.#db.run('UPDATE sessions SET will_at = ? WHERE client_id = ?', closedAt + kept.delayMs, clientId)
    })
  }

  /** What had a connection when the broker was killed: it ended with the last sign of life. */
  #takeUp(): void {
    const alive = Number(this.#db.get("SELECT value FROM meta WHERE key = 'alive'")!.value)
    for (const { client_id: clientId, expiry_ms: expiryMs, will } of this.#db.all('SELECT * FROM sessions WHERE node IS NOT NULL')) {
      const expiresAt = timeAfter(alive, expiryMs === null ? Number.POSITIVE_INFINITY : Number(expiryMs))
      const willAt = will === null ? null : alive + decodeWill(bufferOf(will)).delayMs
      this.#db.run(
        'UPDATE sessions SET node = NULL, closed_at = ?, expires_at = ?, will_at = ? WHERE client_id = ?',
        alive,
        expiresAt,
        willAt,
        clientId as string,
      )
    }
    this.#db.run('UPDATE clean_wills SET orphaned = 1')
  }

  trouble(): Error | null {
    return this.#db.trouble
  }

  *sessions(): Iterable<StoredSubscriber> {
    for (const { client_id: clientId, user } of this.#db.all('SELECT client_id, user FROM sessions'))
      yield { clientId: String(clientId), ...userOf(user!), subscriptions: this.#subscriptions(String(clientId)) }
  }

  claim(request: ClaimRequest): Promise<Claim> {
    const { clientId, node, user, userOnly, cleanStart, expiryMs, will } = request
    return this.#db.work(tell => {
      const now = this.#clock.now()
      let found = this.#row(clientId)
      const isOver = found !== undefined && found.expires_at !== null && Number(found.expires_at) <= now
      if (userOnly && found !== undefined && !isOver && found.user !== null && found.user !== JSON.stringify(user))
        throw new SessionOwnedError(clientId, JSON.parse(String(found.user)) as string | null)
      this.#db.run("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
      const epoch = Number(this.#db.get("SELECT value FROM meta WHERE key = 'epoch'")!.value)
      let orphanedWill = this.#orphanedWill(clientId)
      let ended: EndedSession | null = null
      if (found !== undefined && (cleanStart || isOver)) {
        ended = this.#remove(found, tell)
        found = undefined
      }
      const empty = { subscriptions: [], receivedIds: [], queued: { messages: 0, bytes: 0 } }
      if (found === undefined && expiryMs === 0)
        return { epoch, present: false, ...empty, ended, ...(orphanedWill === null ? {} : { orphanedWill }) }
      const isStored = found !== undefined
      if (found === undefined) {
        this.#db.run('INSERT INTO sessions (client_id, epoch) VALUES (?, ?)', clientId, epoch)
        this.#count(1, 0, 0)
      } else if (found.will !== null && found.will_at !== null && Number(found.will_at) <= now) {
        // It is due, and nobody has looked: its broker has died.
        orphanedWill ??= decodeWill(bufferOf(found.will))
      }
      this.#db.run(
        `UPDATE sessions SET epoch = ?, user = ?, node = ?, expiry_ms = ?, will = ?, closed_at = NULL, expires_at = NULL, will_at = NULL WHERE client_id = ?`,
        epoch,
        user === undefined ? null : JSON.stringify(user),
        String(node),
        finite(expiryMs),
        will === null ? null : encodeWill(will),
        clientId,
      )
      const queued = { messages: Number(found?.messages ?? 0), bytes: Number(found?.bytes ?? 0) }
      const receivedIds = this.#receivedIds(clientId)
      return { epoch, present: isStored, subscriptions: this.#subscriptions(clientId), receivedIds, queued, ended, orphanedWill }
    })
  }

  append(message: Message, targets: readonly AppendTarget[], received: ReceivedId | null): Promise<void> {
    return this.#db.work(tell => {
      if (received !== null) {
        const { session, packetId } = received
        this.#owned(session)
        this.#db.run('INSERT OR IGNORE INTO received VALUES (?, ?)', session.clientId, packetId)
      }
      if (targets.length === 0) return
      const messageBytes = queuedBytes(message)
      // One body, however many sessions it waits for; none where no session takes it.
      let body: number | null = null
      for (const target of targets) {
        const { clientId, qos, retain, identifiers, group, packetId, epoch } = target
        const found = this.#row(clientId)
        const isOwned = packetId === 0 || found?.epoch === epoch
        if (!isOwned) tell(() => this.#events.lost({ clientId, epoch }))
        if (found === undefined) {
          tell(() => this.#events.dropped(clientId, message, 'sessionEnded'))
          continue
        }
        const bytes = messageBytes + identifierBytes(identifiers)
        if (!this.#makeRoom(found, message, bytes, tell)) continue
        body ??= this.#db.insert('INSERT INTO bodies (message) VALUES (?)', encodeMessage(message))
        this.#db.run(
          'INSERT INTO queue (client_id, body, qos, retain, identifiers, share, packet_id, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
          clientId,
          body,
          qos,
          retain ? 1 : 0,
          identifiers === null ? null : JSON.stringify(identifiers),
          group,
          isOwned ? packetId : 0,
          bytes,
        )
        this.#count(0, 1, bytes)
      }
    })
  }

  #makeRoom({ client_id: clientId, messages, bytes: queued }: Row, message: Message, size: number, tell: Tell): boolean {
    const id = String(clientId)
    for (let count = Number(messages), bytes = Number(queued); ; ) {
      const room = roomFor(this.#limits, count, bytes, size)
      if (room === 'fits') return true
      const oldest =
        room === 'dropOldest' ? this.#db.get(`${entries} WHERE client_id = ? AND packet_id = 0 ORDER BY position LIMIT 1`, id) : undefined
      const dropped = oldest === undefined ? message : decodeMessage(bufferOf(oldest.message))
      tell(() => this.#events.dropped(id, dropped, 'queueFull'))
      if (oldest === undefined) return false
      this.#take(oldest)
      count -= 1
      bytes -= Number(oldest.bytes)
    }
  }

  page(session: SessionKey, position: number, limit: number): Promise<readonly QueueEntry[]> {
    return this.#db.work(() => {
      this.#owned(session)
      return this.#entries(session.clientId, position, limit)
    })
  }

  send(session: SessionKey, position: number, packetId: number): Promise<void> {
    return this.#owner(session, () =>
      this.#db.run('UPDATE queue SET packet_id = ? WHERE client_id = ? AND position = ?', packetId, session.clientId, position),
    )
  }

  ack(session: SessionKey, packetId: number): Promise<void> {
    return this.#owner(session, () => this.#takeFirst('packet_id = ?', session.clientId, packetId))
  }

  remove(session: SessionKey, position: number): Promise<void> {
    return this.#owner(session, () => this.#takeFirst('position = ?', session.clientId, position))
  }

  release(session: SessionKey, packetId: number): Promise<void> {
    return this.#owner(session, () =>
      this.#db.run('UPDATE queue SET released = 1 WHERE client_id = ? AND packet_id = ?', session.clientId, packetId),
    )
  }

  forget(session: SessionKey, packetId: number): Promise<void> {
    return this.#owner(session, () =>
      this.#db.run('DELETE FROM received WHERE client_id = ? AND packet_id = ?', session.clientId, packetId),
    )
  }

  subscribe(session: SessionKey, subscriptions: readonly Subscription[]): Promise<void> {
    return this.#owner(session, () => {
      for (const subscription of subscriptions)
        this.#db.run(
          'INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?)',
          session.clientId,
          subscription.filter,
          JSON.stringify(subscription),
        )
    })
  }

  unsubscribe(session: SessionKey, filters: readonly string[]): Promise<void> {
    return this.#owner(session, () => {
      for (const filter of filters) this.#db.run('DELETE FROM subscriptions WHERE client_id = ? AND filter = ?', session.clientId, filter)
    })
  }

  end(session: SessionKey): Promise<EndedSession | null> {
    return this.#db.work(tell => (this.#row(session.clientId) === undefined ? null : this.#remove(this.#owned(session), tell)))
  }

  keepWill(clientId: string, node: string | number, will: StoredWill | null): Promise<void> {
    return this.#db.work(() => {
      if (will === null) this.#db.run('DELETE FROM clean_wills WHERE client_id = ? AND node = ? AND orphaned = 0', clientId, String(node))
      else this.#db.run('INSERT OR REPLACE INTO clean_wills VALUES (?, ?, 0, ?)', clientId, String(node), encodeWill(will))
    })
  }

  expire(now: number, limit: number): Promise<readonly Due[]> {
    return this.#db.work(tell => {
      const due: Due[] = []
      for (const row of this.#db.all('SELECT * FROM sessions WHERE expires_at <= ? LIMIT ?', now, limit))
        due.push({ kind: 'expired', session: this.#remove(row, tell) })
      for (const row of this.#db.all('SELECT * FROM sessions WHERE will_at <= ? LIMIT ?', now, limit - due.length)) {
        due.push({ kind: 'will', clientId: String(row.client_id), will: decodeWill(bufferOf(row.will)) })
        this.#db.run('UPDATE sessions SET will = NULL, will_at = NULL WHERE client_id = ?', row.client_id!)
      }
      for (const { client_id: clientId } of this.#db.all(
        'SELECT client_id FROM clean_wills WHERE orphaned = 1 LIMIT ?',
        limit - due.length,
      ))
        due.push({ kind: 'will', clientId: String(clientId), will: this.#orphanedWill(String(clientId))! })
      return due
    })
  }

  flush(): Promise<void> {
    return this.#db.flush()
  }

  totals(): Promise<StoreTotals> {
    return this.#db.work(() => this.#counted())
  }

  peek(clientId: string, position: number, limit: number): Promise<readonly QueueEntry[] | null> {
    return this.#db.work(() => (this.#row(clientId) === undefined ? null : this.#entries(clientId, position, limit)))
  }

  inspect(clientId: string): Promise<StoredSessionState | null> {
    return this.#db.work(() => {
      const row = this.#row(clientId)
      if (row === undefined) return null
      const will = row.will === null ? null : decodeWill(bufferOf(row.will))
      // From then on something counts only where it expires or has a will.
      const counts = row.node === null && (row.expires_at !== null || will !== null)
      return {
        clientId,
        ...userOf(row.user!),
        node: row.node as string | null,
        closedAt: counts ? Number(row.closed_at) : null,
        expiryMs: row.expiry_ms === null ? Number.POSITIVE_INFINITY : Number(row.expiry_ms),
        will,
        subscriptions: this.#subscriptions(clientId),
        receivedIds: this.#receivedIds(clientId),
        queued: { messages: Number(row.messages), bytes: Number(row.bytes) },
      }
    })
  }

  list(after: string | null, limit: number): Promise<SessionPage> {
    return this.#db.work(() => {
      const counted = '(SELECT count(*) FROM subscriptions s WHERE s.client_id = sessions.client_id) AS subscriptions'
      const rows = this.#db.all(`SELECT *, ${counted} FROM sessions WHERE client_id > ? ORDER BY client_id LIMIT ?`, after ?? '', limit)
      const sessions = rows.map(row => ({
        clientId: String(row.client_id),
        ...userOf(row.user!),
        node: row.node as string | null,
        expiresAt: row.expires_at === null ? Number.POSITIVE_INFINITY : Number(row.expires_at),
        subscriptions: Number(row.subscriptions),
        queued: { messages: Number(row.messages), bytes: Number(row.bytes) },
      }))
      return { sessions, next: sessions.length < limit ? null : sessions.at(-1)!.clientId }
    })
  }

  #owner(session: SessionKey, work: () => unknown): Promise<void> {
    return this.#db.work(() => {
      this.#owned(session)
      work()
    })
  }

  #row(clientId: string): Row | undefined {
    return this.#db.get('SELECT * FROM sessions WHERE client_id = ?', clientId)
  }

  #owned({ clientId, epoch }: SessionKey): Row {
    const row = this.#row(clientId)
    if (row === undefined || row.epoch !== epoch) throw new SessionLostError(clientId)
    return row
  }

  #subscriptions(clientId: string): Subscription[] {
    return this.#db
      .all('SELECT said FROM subscriptions WHERE client_id = ?', clientId)
      .map(({ said }) => JSON.parse(String(said)) as Subscription)
  }

  #receivedIds(clientId: string): number[] {
    return this.#db.all('SELECT packet_id FROM received WHERE client_id = ?', clientId).map(({ packet_id: packetId }) => Number(packetId))
  }

  #entries(clientId: string, position: number, limit: number): QueueEntry[] {
    return this.#db.all(`${entries} WHERE client_id = ? AND position > ? ORDER BY position LIMIT ?`, clientId, position, limit).map(entryOf)
  }

  #takeFirst(where: string, clientId: string, value: number): void {
    const row = this.#db.get(`SELECT position, bytes FROM queue WHERE client_id = ? AND ${where} LIMIT 1`, clientId, value)
    if (row !== undefined) this.#take(row)
  }

  #take({ position, bytes }: Row): void {
    this.#db.run('DELETE FROM queue WHERE position = ?', position!)
    this.#count(0, -1, -Number(bytes))
  }

  /** The wills of a broker that has died, of which a client id may have one at each node it was connected to; the newest is not known, so any. */
  #orphanedWill(clientId: string): StoredWill | null {
    const row = this.#db.get('SELECT will FROM clean_wills WHERE client_id = ? AND orphaned = 1', clientId)
    if (row === undefined) return null
    this.#db.run('DELETE FROM clean_wills WHERE client_id = ? AND orphaned = 1', clientId)
    return decodeWill(bufferOf(row.will))
  }

  #remove(row: Row, tell: Tell): EndedSession {
    const clientId = String(row.client_id)
    const ended = {
      clientId,
      subscriptions: this.#subscriptions(clientId),
      will: row.will === null ? null : decodeWill(bufferOf(row.will)),
    }
    const shared: QueueEntry[] = []
    for (const entry of this.#entries(clientId, 0, -1)) {
      if (entry.group !== null) shared.push(entry)
      else if (!entry.released) tell(() => this.#events.dropped(clientId, entry.message, 'sessionEnded'))
    }
    this.#count(-1, -Number(row.messages), -Number(row.bytes))
    for (const table of ['queue', 'subscriptions', 'received', 'sessions'])
      this.#db.run(`DELETE FROM ${table} WHERE client_id = ?`, clientId)
    return { ...ended, shared }
  }

  #count(sessions: number, messages: number, bytes: number): void {
    const all = this.#totals
    if (all !== null) this.#totals = { sessions: all.sessions + sessions, messages: all.messages + messages, bytes: all.bytes + bytes }
  }

  /** Counted once, and when a transaction was not kept. */
  #counted(): StoreTotals {
    const { sessions, messages, bytes } = this.#db.get(
      'SELECT count(*) AS sessions, total(messages) AS messages, total(bytes) AS bytes FROM sessions',
    )!
    this.#totals ??= { sessions: Number(sessions), messages: Number(messages), bytes: Number(bytes) }
    return this.#totals
  }
}

const finite = (ms: number): number | null => (Number.isFinite(ms) ? ms : null)

/** As JSON, because null is a user too; where nobody knows it, nothing is said. */
const userOf = (user: Row[string]): { user?: string | null } => (user === null ? {} : { user: JSON.parse(String(user)) as string | null })

const timeAfter = (now: number, ms: number): number | null => (Number.isFinite(ms) ? now + ms : null)

const bufferOf = (blob: Row[string] | undefined): Buffer => {
  const { buffer, byteOffset, byteLength } = blob as Uint8Array
  return Buffer.from(buffer, byteOffset, byteLength)
}

function entryOf(row: Row): QueueEntry {
  return {
    position: Number(row.position),
    message: decodeMessage(bufferOf(row.message)),
    qos: row.qos as QoS,
    retain: row.retain === 1,
    identifiers: row.identifiers === null ? null : (JSON.parse(String(row.identifiers)) as number[]),
    group: row.share as string | null,
    packetId: Number(row.packet_id),
    released: row.released === 1,
  }
}
