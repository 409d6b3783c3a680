import type { Broker } from '../../core/broker.ts'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/time/clock.ts'
import { alarmsOf } from '../kit/alarms.ts'
import { LineThrottle } from '../kit/line-throttle.ts'
import type { NamedRow } from './row-names.ts'

// Rows that are known one by one; of more only the number is.
const knownMax = 10_000
const linesEveryMs = 10_000
const linesMax = 20
// An error of a read is told for so long.
const readErrorMs = 10 * 60_000

/** What is damaged in one folder: each row is said once, counted, and known until it is written anew or removed. */
export class DamagedRows {
  readonly #log: Log
  readonly #clock: Clock
  readonly #lines: LineThrottle
  readonly #name: (key: Buffer) => NamedRow
  readonly #known = new Set<string>()
  #readError: { readonly at: number; readonly text: string } | null = null
  readonly plugin: string
  readonly path: string
  /** Rows that were found, by kind; errors of reads as `unreadable`. */
  readonly counts = new Map<string, number>()
  /** Whose session has a number, as far as that is known. */
  clientOf: (session: number) => string | undefined = () => undefined

  constructor(
    log: Log,
    clock: Clock,
    { plugin, path }: { readonly plugin: string; readonly path: string },
    name: (key: Buffer) => NamedRow,
  ) {
    this.#log = log
    this.#clock = clock
    this.#name = name
    this.plugin = plugin
    this.path = path
    this.#lines = new LineThrottle(clock, {
      everyMs: linesEveryMs,
      linesMax,
      more: (count, what) => log.error({ count }, `${plugin}: ${count} more ${what} are damaged; check --store names all`),
    })
  }

  /** The checksum of a row is not that of its key and value. */
  found(key: Buffer): void {
    const id = key.toString('latin1')
    if (this.#known.has(id)) return
    if (this.#known.size < knownMax) this.#known.add(id)
    const { kind, text, session } = this.#name(key)
    this.#count(kind)
    if (this.#lines.pass(`rows of kind ${kind}`) === 0) return
    const clientId = session === null ? undefined : this.clientOf(session)
    this.#log.error(
      { key: key.toString('hex'), ...(clientId === undefined ? {} : { clientId }) },
      `${this.plugin}: ${this.path} holds a damaged row: ${text}${clientId === undefined ? '' : ` (${clientId})`}; it is left out. Look at the disk; put back a backup where that matters`,
    )
  }

  /** A read failed: nothing is guessed about what stands there. */
  unreadable(error: Error): void {
    this.#count('unreadable')
    this.#readError = { at: this.#clock.now(), text: error.message }
    if (this.#lines.pass('places') > 0)
      this.#log.error(
        { err: error },
        `${this.plugin}: ${this.path} cannot be read in one place (${error.message}); look at the disk, or put back a backup`,
      )
  }

  /** These rows were written or removed: what was wrong with them is over. */
  written(keys: readonly Buffer[]): void {
    if (this.#known.size === 0) return
    for (const key of keys) this.#known.delete(key.toString('latin1'))
  }

  /** What is wrong just now, in one line; null: nothing. */
  trouble(now: number): string | null {
    const rows = this.#known.size
    if (rows > 0) return `${rows === 1 ? '1 row is' : `${rows} rows are`} damaged in ${this.path}, and left out; check --store says which`
    if (this.#readError === null || now - this.#readError.at > readErrorMs) return null
    return `${this.path} could not be read in one place: ${this.#readError.text}`
  }

  /** Says what was not said yet. */
  stop(): void {
    this.#lines.flush()
  }

  #count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
  }
}

const watched = new WeakMap<Broker, DamagedRows[]>()

/** Shows what is damaged in a folder: the alarm `storeDamaged` and a counter, of all folders of a broker together. */
export function watchDamage(broker: Broker, damage: DamagedRows): void {
  const known = watched.get(broker)
  if (known !== undefined) return void known.push(damage)
  const all = [damage]
  watched.set(broker, all)
  broker.figures.add({
    name: 'store_damaged_rows_total',
    type: 'counter',
    help: 'Rows on disk whose checksum was wrong, and reads that failed (kind unreadable), by plugin and kind of row.',
    read: () => all.flatMap(({ plugin, counts }) => [...counts].map(([kind, value]) => ({ value, labels: { plugin, kind } }))),
  })
  alarmsOf(broker).watch('storeDamaged', now => all.map(one => one.trouble(now)).find(text => text !== null) ?? null)
}
