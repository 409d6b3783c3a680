// Sessions and retained messages in one SQLite file, for one broker: what a session subscribed to, what waits for it, QoS 2 state, wills, expiry. What is
// acknowledged has been synced to the disk. `node-sqlite3-wasm` needs no compiler; a database server of your own would do it in the same way, with a
// round trip in place of a transaction. npm install node-sqlite3-wasm
import { definePlugin } from 'mqttx-broker'
import { Database } from './database.ts'
import { SqliteRetained } from './retained.ts'
import { SqliteSessions } from './sessions.ts'

/** Owns the services `sessions` and `retained`, in SQLite. */
export const sqliteStore = definePlugin({
  name: 'sqliteStore',
  provides: ['sessions', 'retained'],
  options: {
    /** The database file. One broker at a time. */
    path: { type: 'string', default: 'broker.db' },
  },
  apply({ services, clock }, { path }) {
    const db = new Database(path, () => clock.now())
    const sessions = new SqliteSessions(db, clock)
    const retained = new SqliteRetained(db, clock)
    services.provide('sessions', sessions, 'sqliteStore')
    services.provide('retained', retained, 'sqliteStore')
    return {
      start() {
        db.open()
        retained.load()
      },
      async stop() {
        await sessions.close()
        await db.close()
      },
    }
  },
})
