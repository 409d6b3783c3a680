import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { OperatorError, StoreAwayError, StoreFullError } from 'mqttx-broker'
import sqlite, { type BindValues, type Database as Sqlite, type Statement } from 'node-sqlite3-wasm'

declare module 'mqttx-broker' {
  interface ErrorCodes {
    /** The database of `sqliteStore` cannot be used: another broker has it, or another version wrote it. */
    ERR_SQLITE_STORE: true
  }
}

export type Row = Record<string, number | string | Uint8Array | null>

const version = 1
const schema = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('epoch', 0), ('alive', 0);
  CREATE TABLE sessions (
    client_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, user TEXT, node TEXT, expiry_ms REAL, will BLOB,
    closed_at REAL, expires_at REAL, will_at REAL, messages INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
  CREATE INDEX by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX by_will ON sessions (will_at) WHERE will_at IS NOT NULL;
  CREATE TABLE subscriptions (client_id TEXT, filter TEXT, said TEXT NOT NULL, PRIMARY KEY (client_id, filter)) WITHOUT ROWID;
  CREATE TABLE received (client_id TEXT, packet_id INTEGER, PRIMARY KEY (client_id, packet_id)) WITHOUT ROWID;
  CREATE TABLE bodies (id INTEGER PRIMARY KEY AUTOINCREMENT, message BLOB NOT NULL, uses INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE queue (
    position INTEGER PRIMARY KEY AUTOINCREMENT, client_id TEXT NOT NULL, body INTEGER NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL,
    identifiers TEXT, share TEXT, packet_id INTEGER NOT NULL, released INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL);
  CREATE INDEX by_client ON queue (client_id, position);
  CREATE INDEX by_packet ON queue (client_id, packet_id);
  CREATE TRIGGER used AFTER INSERT ON queue BEGIN
    UPDATE bodies SET uses = uses + 1 WHERE id = new.body;
    UPDATE sessions SET messages = messages + 1, bytes = bytes + new.bytes WHERE client_id = new.client_id;
  END;
  CREATE TRIGGER gone AFTER DELETE ON queue BEGIN
    UPDATE bodies SET uses = uses - 1 WHERE id = old.body;
    DELETE FROM bodies WHERE id = old.body AND uses = 0;
    UPDATE sessions SET messages = messages - 1, bytes = bytes - old.bytes WHERE client_id = old.client_id;
  END;
  CREATE TABLE clean_wills (client_id TEXT, node TEXT, orphaned INTEGER NOT NULL, will BLOB NOT NULL, PRIMARY KEY (client_id, node)) WITHOUT ROWID;
  CREATE TABLE retained (topic TEXT PRIMARY KEY, message BLOB NOT NULL, expires_at REAL) WITHOUT ROWID;
  PRAGMA user_version = ${version};`

interface Batch {
  readonly done: Promise<void>
  resolve(): void
  reject(error: Error): void
  /** What has to be said when it is kept, before anybody has an answer. */
  readonly news: (() => void)[]
}

/**
 * One SQLite file. All that is written in one turn of the event loop is one transaction, and is answered when that is on the disk; so a thousand messages cost one
 * fsync. Reads see what was written before them, and are answered behind it.
 */
export class Database {
  readonly path: string
  readonly #now: () => number
  #db: Sqlite | null = null
  readonly #statements = new Map<string, Statement>()
  #batch: Batch | null = null
  #trouble: Error | null = null
  /** Called when a transaction was not kept: whatever was counted from it is to be counted anew. */
  readonly onRolledBack: (() => void)[] = []

  constructor(path: string, now: () => number) {
    this.path = path
    this.#now = now
  }

  /** Why the last transaction was not kept; null: it was. */
  get trouble(): Error | null {
    return this.#trouble
  }

  open(): void {
    this.#own()
    const db = new sqlite.Database(this.path)
    this.#db = db
    // Nobody else opens it, so it is locked once and not for each transaction; each one is synced.
    for (const pragma of ['locking_mode = EXCLUSIVE', 'journal_mode = WAL', 'synchronous = FULL']) db.get(`PRAGMA ${pragma}`)
    const found = Number(db.get('PRAGMA user_version')?.user_version)
    if (found > version)
      throw new OperatorError(
        'ERR_SQLITE_STORE',
        `sqliteStore.path: a newer version wrote ${this.path} (format ${found}); start that one, or name another file`,
      )
    if (found === 0) db.exec(`BEGIN; ${schema}; COMMIT`)
  }

  /** A broker that was killed has left its lock; one that lives has not. */
  #own(): void {
    const file = `${this.path}.pid`
    let pid = 0
    try {
      pid = Number(readFileSync(file, 'utf8'))
    } catch {
      // Nobody has had it yet.
    }
    if (pid !== 0 && pid !== process.pid && isAlive(pid))
      throw new OperatorError('ERR_SQLITE_STORE', `sqliteStore.path: process ${pid} has ${this.path} open; stop it, or name another file`)
    rmSync(`${this.path}.lock`, { recursive: true, force: true })
    writeFileSync(file, String(process.pid))
  }

  /** What has begun is written first; `crash`: it is not, as after `kill -9`. */
  async close(crash = false): Promise<void> {
    if (this.#batch !== null && !crash) await this.#batch.done.catch(() => {})
    if (this.#db === null) return
    for (const statement of this.#statements.values()) statement.finalize()
    this.#statements.clear()
    this.#batch?.reject(new StoreAwayError('the store is closed'))
    this.#batch?.done.catch(() => {})
    this.#batch = null
    this.#db.close()
    this.#db = null
    rmSync(`${this.path}.pid`, { force: true })
  }

  /** Statements are prepared once. */
  run(sql: string, ...values: BindValues[]): number {
    return this.#prepared(sql).run(values as never).changes
  }

  get(sql: string, ...values: BindValues[]): Row | undefined {
    return (this.#prepared(sql).get(values as never) as Row | null) ?? undefined
  }

  all(sql: string, ...values: BindValues[]): Row[] {
    return this.#prepared(sql).all(values as never) as Row[]
  }

  /** The number that a statement which inserts one row gave it. */
  insert(sql: string, ...values: BindValues[]): number {
    return Number(this.#prepared(sql).run(values as never).lastInsertRowid)
  }

  #prepared(sql: string): Statement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db!.prepare(sql)))
    return statement
  }

  /**
   * Does something in the transaction of this turn; resolves when that is kept. What throws leaves no trace and rejects alone. `tell` is for what has to be said
   * when it is kept, before the promise resolves.
   */
  work<T>(work: (tell: (news: () => void) => void) => T): Promise<T> {
    if (this.#db === null) return Promise.reject(new StoreAwayError('the store is closed'))
    let batch: Batch
    try {
      batch = this.#batch ?? this.#begin()
      this.#db.exec('SAVEPOINT verb')
    } catch (error) {
      return Promise.reject(unkept(error))
    }
    const said = batch.news.length
    try {
      const answer = work(news => void batch.news.push(news))
      this.#db.exec('RELEASE verb')
      return batch.done.then(() => answer)
    } catch (error) {
      batch.news.length = said
      // SQLite may have rolled all of it back by itself; the commit says so.
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK TO verb; RELEASE verb')
      return Promise.reject(error instanceof sqlite.SQLite3Error ? unkept(error) : error)
    }
  }

  /** Resolves when all that was written so far is kept. */
  async flush(): Promise<void> {
    await this.#batch?.done
  }

  #begin(): Batch {
    this.#db!.exec('BEGIN IMMEDIATE')
    const { promise: done, resolve, reject } = withResolvers()
    const batch: Batch = { done, resolve, reject, news: [] }
    this.#batch = batch
    setImmediate(() => {
      if (this.#batch === batch) this.#commit(batch)
    })
    return batch
  }

  #commit(batch: Batch): void {
    this.#batch = null
    try {
      this.run("UPDATE meta SET value = ? WHERE key = 'alive'", this.#now())
      this.#db!.exec('COMMIT')
      this.#trouble = null
    } catch (error) {
      if (this.#db!.inTransaction) this.#db!.exec('ROLLBACK')
      this.#trouble = unkept(error)
      for (const rolledBack of this.onRolledBack) rolledBack()
      // Where nobody waits for it, nobody has to hear of it: `trouble` says it.
      batch.done.catch(() => {})
      return batch.reject(this.#trouble)
    }
    for (const news of batch.news) news()
    batch.resolve()
  }
}

function unkept(error: unknown): Error {
  const { message } = error as Error
  if (/full/.test(message)) return new StoreFullError(`SQLite has no room: ${message}`, { cause: error })
  return new StoreAwayError(`SQLite does not work: ${message}`, { cause: error })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

// Promise.withResolvers comes with Node 22.
function withResolvers() {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
