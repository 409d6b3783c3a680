import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Actor } from '../../core/actor.ts'
import type { Broker } from '../../core/broker.ts'
import { OperatorError } from '../../core/errors.ts'
import { defineVerb } from '../kit/verbs/define-verb.ts'
import { type BackupPart, hashOf, manifestFile, manifestText } from './backup-format.ts'
import { keepFile, keepFolder } from './keep-files.ts'
import { type BackupAnswer, backupVerb, type CompactAnswer, type CompactRow, compactVerb } from './verbs.ts'

/** A folder that a plugin keeps things in, once it has started. */
export interface KeptFolder {
  /** The plugin: `disk`, `diskQueue`. */
  readonly plugin: string
  /** What it consists of, as folders below it: `['']`, or where workers keep a part each, those of all. */
  readonly parts: readonly string[]
  /** Copies one of these to a folder that it makes. */
  copyTo(folder: string, part: string): Promise<void>
  /** Where that lies which this process writes: all of it, or its part. */
  readonly own: string
  /** Gives back what is free in that, while nothing is written there. */
  compact(): Promise<{ readonly beforeBytes: number; readonly afterBytes: number }>
}

// A message goes from a queue to a session and is taken out of the queue then: copied in this order it is in one of them at least.
const order = ['diskQueue', 'disk']
const kept = new WeakMap<Broker, KeptFolders>()

/** Has `backup` and `compact` see to a folder, too. */
export function keepInBackups(broker: Broker, folder: KeptFolder): void {
  let folders = kept.get(broker)
  if (folders === undefined) kept.set(broker, (folders = new KeptFolders(broker)))
  folders.add(folder)
}

/** The folders that a broker keeps things in, and the verbs that copy and compact them. */
class KeptFolders {
  readonly #broker: Broker
  readonly #folders: KeptFolder[]
  #busy: string | null

  constructor(broker: Broker) {
    this.#broker = broker
    this.#folders = []
    this.#busy = null
    broker.verbs.add(
      defineVerb(broker, backupVerb, {
        run: (_broker, { folder }, actor) => this.#alone('backup', () => this.#backup(placeOf(broker, folder, actor))),
      }),
    )
    broker.verbs.add(
      defineVerb(broker, compactVerb, {
        run: () => this.#alone('compact', async () => ({ rows: await this.#compact() })),
        merge: (parts, missing): CompactAnswer => ({
          rows: parts.flatMap(({ answer }) => (answer as CompactAnswer).rows),
          ...(missing.length > 0 ? { missing } : {}),
        }),
      }),
    )
  }

  add(folder: KeptFolder): void {
    this.#folders.push(folder)
    this.#folders.sort((a, b) => order.indexOf(a.plugin) - order.indexOf(b.plugin))
  }

  async #alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy !== null) throw new OperatorError('ERR_OPERATE_REFUSED', `${this.#busy} is at work; ask again when it is done`)
    this.#busy = what
    try {
      return await work()
    } finally {
      this.#busy = null
    }
  }

  async #backup(folder: string): Promise<BackupAnswer> {
    await makeEmpty(folder)
    // What was acknowledged before had been committed in all the parts that it concerns, and each copy shows a later commit.
    const upTo = new Date(this.#broker.clock.moment().wall).toISOString()
    try {
      const made: Pick<BackupPart, 'plugin' | 'folder'>[] = []
      for (const { plugin, parts, copyTo } of this.#folders) {
        for (const part of parts) {
          const at = join(plugin, part)
          await mkdir(dirname(join(folder, at)), { recursive: true, mode: 0o700 })
          await copyTo(join(folder, at), part)
          made.push({ plugin, folder: at })
        }
      }
      // All are copied before the first is read again, so that the moments of the copies lie close together.
      const parts: BackupPart[] = []
      for (const part of made) {
        const file = join(folder, part.folder, 'data.mdb')
        parts.push({ ...part, bytes: (await stat(file)).size, sha256: await hashOf(file) })
      }
      const manifest = join(folder, manifestFile)
      await writeFile(manifest, manifestText({ upTo, parts }, this.#broker.version), { mode: 0o600, flag: 'wx' })
      await keepFile(manifest)
      await keepFolder(folder)
      return { folder, upTo, elsewhere: this.#elsewhere(), rows: parts.map(({ sha256: _, ...part }) => part) }
    } catch (error) {
      for (const name of [...order, manifestFile]) await rm(join(folder, name), { recursive: true, force: true })
      throw error instanceof OperatorError
        ? error
        : new OperatorError('ERR_DISK_COPY', `backup: ${(error as Error).message}`, { cause: error })
    }
  }

  async #compact(): Promise<CompactRow[]> {
    const { clock } = this.#broker
    const rows: CompactRow[] = []
    for (const { plugin, own, compact } of this.#folders) {
      const began = clock.now()
      try {
        const { beforeBytes, afterBytes } = await compact()
        rows.push({ plugin, folder: own, beforeBytes, afterBytes, heldMs: Math.round(clock.now() - began) })
      } catch (error) {
        throw error instanceof OperatorError
          ? error
          : new OperatorError('ERR_DISK_COPY', `compact: ${own}: ${(error as Error).message}`, { cause: error })
      }
    }
    return rows
  }

  #elsewhere(): string | null {
    const { services } = this.#broker
    const owners = new Set((['sessions', 'retained', 'state'] as const).map(name => services.ownerOf(name)))
    const others = [...owners].filter(owner => owner !== undefined && owner !== 'disk')
    return others.length === 0 ? null : `what ${others.join(' and ')} keeps is not in it; that has copies of its own`
  }
}

// Whoever has a token names a backup; only who is on the machine says where it lies.
function placeOf({ folder: base }: Broker, folder: string, { via }: Actor): string {
  if (via !== 'http') return resolve(base, folder)
  if (/^\w[\w.-]*$/.test(folder)) return join(base, 'backups', folder)
  throw new OperatorError(
    'ERR_ARGUMENTS',
    `backup: over HTTP a backup has a name of letters, digits, - and ., and lies in ${join(base, 'backups')}`,
  )
}

async function makeEmpty(folder: string): Promise<void> {
  try {
    if (!existsSync(folder)) await mkdir(folder, { recursive: true, mode: 0o700 })
    const [one] = await readdir(folder)
    if (one === undefined) return
  } catch (error) {
    throw new OperatorError('ERR_DISK_COPY', `backup: ${(error as Error).message}; name a folder that this user may write to`, {
      cause: error,
    })
  }
  throw new OperatorError('ERR_DISK_COPY', `backup: ${folder} is not empty; name a new folder`)
}
