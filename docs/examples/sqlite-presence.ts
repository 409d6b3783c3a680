// Who is connected, and since when: a table in SQLite that any tool can read. `node-sqlite3-wasm` needs no compiler and downloads nothing
// when it is installed. All changes of one turn of the event loop are one transaction, so 10,000 clients that come at once are a
// few commits. npm install node-sqlite3-wasm

import { type Client, definePlugin, type Timer } from 'mqttx-broker'
import sqlite, { type Database } from 'node-sqlite3-wasm'

interface Presence {
  readonly username: string | null
  readonly address: string
  readonly connectedAt: number
  readonly disconnectedAt: number | null
  readonly reason: string | null
}

const table = `CREATE TABLE IF NOT EXISTS presence (
  client_id TEXT PRIMARY KEY, username TEXT, address TEXT NOT NULL,
  connected_at INTEGER NOT NULL, disconnected_at INTEGER, reason TEXT)`
// A client that is connected again has no end.
const put = `INSERT INTO presence VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (client_id) DO UPDATE SET username = excluded.username,
  address = excluded.address, connected_at = excluded.connected_at, disconnected_at = excluded.disconnected_at, reason = excluded.reason`

/** Keeps a table of the clients that are, or were, connected. */
export const sqlitePresence = definePlugin({
  name: 'sqlitePresence',
  counters: {
    unwrittenPresence: { figure: 'sqlite_presence_lost_total', help: 'Changes that were not written, because too many waited.' },
  },
  options: {
    /** The database file. */
    path: { type: 'string', default: 'presence.db' },
    /** How long a client that has gone stays in the table. */
    keepFor: { type: 'duration', default: '30d', live: true },
    /** How many changes may wait for a disk that takes none. */
    waitingMax: { type: 'integer', minimum: 1, default: 100_000 },
  },
  apply({ hooks, clock, broker, report }, { path, keepFor: keepForAtStart, waitingMax }) {
    let keepFor = keepForAtStart
    let db: Database | undefined
    const timers: Timer[] = []
    const present = new Map<string, Client>()
    // The newest state of each client that has changed: what is written late is written once.
    const waiting = new Map<string, Presence>()
    let scheduled = false

    function change(client: Client, end: { at: number; reason: string } | null): void {
      const { clientId, username, remoteAddress, acceptedAt } = client
      if (waiting.size >= waitingMax && !waiting.has(clientId)) broker.counters.unwrittenPresence += 1
      else {
        const [disconnectedAt, reason] = end === null ? [null, null] : [end.at, end.reason]
        waiting.set(clientId, { username, address: remoteAddress, connectedAt: acceptedAt, disconnectedAt, reason })
      }
      if (scheduled) return
      scheduled = true
      setImmediate(write)
    }

    function write(): void {
      scheduled = false
      if (waiting.size === 0 || db === undefined) return
      try {
        db.exec('BEGIN')
        for (const [clientId, { username, address, connectedAt, disconnectedAt, reason }] of waiting)
          db.run(put, [clientId, username, address, Math.round(connectedAt), disconnectedAt && Math.round(disconnectedAt), reason])
        db.exec('COMMIT')
        waiting.clear()
      } catch (cause) {
        if (db.inTransaction) db.exec('ROLLBACK')
        report(new Error(`sqlitePresence: ${path} takes no writes; it is tried again in a second`, { cause }))
        timers[1] = clock.after(1000, write)
      }
    }

    hooks.onConnected.tap('sqlitePresence', client => {
      present.set(client.clientId, client)
      change(client, null)
    })
    // Where a client id is taken over, the new client comes before the old one goes: only the present one's end counts.
    hooks.onDisconnect.tap('sqlitePresence', (client, { message }) => {
      if (present.get(client.clientId) !== client) return
      present.delete(client.clientId)
      change(client, { at: clock.now(), reason: message })
    })

    const forget = () => void db!.run('DELETE FROM presence WHERE disconnected_at < ?', [Math.round(clock.now() - keepFor)])
    return {
      start() {
        db = new sqlite.Database(path)
        db.exec(table)
        // Whoever is still there according to the table was connected to a broker that was killed.
        db.run("UPDATE presence SET disconnected_at = ?, reason = 'the broker ended' WHERE disconnected_at IS NULL", [
          Math.round(clock.now()),
        ])
        forget()
        timers[0] = clock.every(3_600_000, forget)
      },
      stop() {
        for (const timer of timers) timer?.cancel()
        write()
        db?.close()
        db = undefined
      },
      reload: options => void (keepFor = options.keepFor),
    }
  },
})

declare module 'mqttx-broker' {
  interface PluginCounts {
    unwrittenPresence: number
  }
}
