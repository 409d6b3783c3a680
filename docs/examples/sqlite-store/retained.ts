import { type Clock, decodeMessage, encodeMessage, type Message, matches, type RetainedCursor, type RetainedStore } from 'mqttx-broker'
import type { Database } from './database.ts'

/** The service `retained` in SQLite. */
export class SqliteRetained implements RetainedStore {
  readonly #db: Database
  readonly #clock: Clock
  #size = 0

  constructor(db: Database, clock: Clock) {
    this.#db = db
    this.#clock = clock
    db.onRolledBack.push(() => this.load())
  }

  load(): void {
    this.#size = Number(this.#db.get('SELECT count(*) AS size FROM retained')!.size)
  }

  get size(): number {
    return this.#size
  }

  set(message: Message): Promise<void> {
    return this.#db.work(() => {
      const { topic, expiresAt } = message
      // [MQTT-3.3.1-6]
      this.#size -= this.#db.run('DELETE FROM retained WHERE topic = ?', topic)
      if (message.payloadLength === 0) return
      const until = Number.isFinite(expiresAt) ? expiresAt : null
      this.#size += this.#db.run('INSERT INTO retained VALUES (?, ?, ?)', topic, encodeMessage(message), until)
    })
  }

  /** In the order of topic names, between the two that what stands before the first wildcard leaves open. */
  match(filter: string): RetainedCursor {
    const wildcard = filter.search(/[+#]/)
    // `a/#` matches `a` too.
    const prefix = wildcard === -1 ? filter : filter.slice(0, wildcard).replace(/\/$/, '')
    const range = 'topic > ? AND topic >= ? AND topic <= ?'
    let after = ''
    return {
      next: limit =>
        this.#db.work(() => {
          const end = wildcard === -1 ? filter : `${prefix}\u{10ffff}`
          const rows = this.#db.all(`SELECT * FROM retained WHERE ${range} ORDER BY topic LIMIT ?`, after, prefix, end, limit)
          const now = this.#clock.now()
          const messages: Message[] = []
          for (const { topic, message, expires_at: expiresAt } of rows) {
            after = String(topic)
            if (expiresAt !== null && Number(expiresAt) <= now) this.#size -= this.#db.run('DELETE FROM retained WHERE topic = ?', after)
            else if (matches(filter, after)) messages.push(decodeMessage(Buffer.from(message as Uint8Array)))
          }
          return { messages, done: rows.length < limit }
        }),
    }
  }
}
