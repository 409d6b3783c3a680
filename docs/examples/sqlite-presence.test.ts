import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTestBroker } from 'mqttx-broker/testing'
import sqlite from 'node-sqlite3-wasm'
import { sqlitePresence } from './sqlite-presence.ts'

const path = join(mkdtempSync(join(tmpdir(), 'presence-')), 'presence.db')
const start = () => createTestBroker({ plugins: [sqlitePresence({ path, keepFor: '1d' })] })

function rows(): string[] {
  const db = new sqlite.Database(path)
  try {
    return db
      .all('SELECT * FROM presence ORDER BY client_id')
      .map(
        ({ client_id, username, disconnected_at, reason }) => `${client_id} ${username} ${disconnected_at === null ? 'is here' : reason}`,
      )
  } finally {
    db.close()
  }
}

test('the table says who is here, who has gone and why, and forgets after a while', async t => {
  const broker = await start()
  t.after(() => broker.stop())
  const a = await broker.client('a', { username: 'alice' })
  await broker.client('b')
  // Taken over: the client id has not gone.
  await broker.client('b')
  a.disconnect()
  await broker.advance(0)
  assert.deepEqual(rows(), ['a alice disconnected', 'b null is here'])
  await broker.advance(25 * 3_600_000)
  assert.deepEqual(rows(), ['b null is here'])
  await broker.stop()
  assert.doesNotMatch(rows().join(), /is here/)
})

test('after a kill nobody is said to be here who is not', async t => {
  const db = new sqlite.Database(path)
  db.run("INSERT INTO presence VALUES ('killed', NULL, 'x', 1, NULL, NULL)")
  db.close()
  const broker = await start()
  t.after(() => broker.stop())
  assert.ok(rows().includes('killed null the broker ended'))
})
