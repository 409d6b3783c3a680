import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Clock } from 'mqttx-broker'
import { faultContract, retainedContract, sessionsContract } from 'mqttx-broker/contracts'
import { createTestBroker } from 'mqttx-broker/testing'
import { Database } from './database.ts'
import { SqliteRetained } from './retained.ts'
import { SqliteSessions } from './sessions.ts'
import { sqliteStore } from './sqlite-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const databases = new Map<unknown, Database>()

function open<S>(Store: new (db: Database, clock: Clock) => S, clock: Clock, path: string): S {
  const db = new Database(path, () => clock.now())
  db.open()
  const store = new Store(db, clock)
  databases.set(store, db)
  return store
}
const create = <S>(Store: new (db: Database, clock: Clock) => S, clock: Clock): S => open(Store, clock, join(folder, `${++files}.db`))

/** As after `kill -9`: what was not yet committed is gone. */
async function reopen<S>(Store: new (db: Database, clock: Clock) => S, store: unknown, clock: Clock): Promise<S> {
  const { path } = databases.get(store)!
  await databases.get(store)!.close(true)
  return open(Store, clock, path)
}

sessionsContract(
  { describe, it },
  {
    name: 'in SQLite',
    create: clock => create(SqliteSessions, clock),
    reopen: (store, clock) => reopen(SqliteSessions, store, clock),
    async dispose(store) {
      await (store as SqliteSessions).close()
      await databases.get(store)!.close()
    },
  },
)

retainedContract(
  { describe, it },
  {
    name: 'in SQLite',
    create: clock => create(SqliteRetained, clock),
    async reopen(store, clock) {
      const again = await reopen(SqliteRetained, store, clock)
      again.load()
      return again
    },
    dispose: store => databases.get(store)!.close(),
  },
)

// More rounds, and every point, show more; these end within a minute.
faultContract(
  { describe, it },
  {
    name: 'on SQLite',
    plugin: fileURLToPath(new URL('sqlite-store.ts', import.meta.url)),
    options: place => ({ path: join(place, 'broker.db') }),
  },
  { rounds: 1, every: 12 },
)

test('what was acknowledged is there for the next broker', async () => {
  const path = join(folder, 'broker.db')
  const start = () => createTestBroker({ plugins: [sqliteStore({ path })] })
  const broker = await start()
  const reader = await broker.client('reader', { cleanStart: false })
  await reader.subscribe('t/#', 2)
  reader.lose()
  const writer = await broker.client('writer')
  for (const qos of [1, 2] as const) assert.equal(await writer.publish('t/1', `QoS ${qos}`, { qos, retain: true }), 0)
  await broker.stop()
  const next = await start()
  const again = await next.client('reader', { cleanStart: false })
  assert.deepEqual([String((await again.received()).payload), String((await again.received()).payload)], ['QoS 1', 'QoS 2'])
  const other = await next.client('other')
  await other.subscribe('t/+', 1)
  assert.equal(String((await other.received()).payload), 'QoS 2')
  await next.stop()
})

test('a file that another process has open, or a newer version wrote, is refused by name', () => {
  const path = join(folder, 'newer.db')
  const db = new Database(path, () => 0)
  db.open()
  db.run('PRAGMA user_version = 99')
  void db.close(true)
  assert.throws(() => new Database(path, () => 0).open(), { code: 'ERR_SQLITE_STORE', message: /newer version/ })
})
