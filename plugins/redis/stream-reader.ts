import type { Cluster, Redis } from 'ioredis'
import type { Clock } from '../../core/time/clock.ts'
import { afterAwake } from '../kit/awake-timer.ts'
import { createClient, type Options, renew } from './client-options.ts'

/** One entry of a stream: its fields by name. */
export type StreamEntry = ReadonlyMap<string, Buffer>

export interface StreamEvents {
  /** What has been written since, in order. Where it returns a promise, no more is read before it resolves. */
  entries(entries: readonly StreamEntry[]): void | Promise<void>
  /** What was written may be missing here: it has been trimmed, or a fail-over lost it. Reading goes on with what comes now. */
  missed(): void
  /** The connection is there again, and nothing is missing. */
  resumed(): void
}

const blockMs = 1000
const entriesPerRead = 256
const retryMs = 100

/**
 * Reads one stream as it grows, on a connection of its own because it waits there. Its place in the stream is kept, so a
 * connection that breaks loses nothing.
 */
export class StreamReader {
  readonly #clock: Clock
  readonly #options: Options
  readonly #key: string
  readonly #events: StreamEvents
  readonly #trims: boolean
  #client: Redis | Cluster | null = null
  #position = '0-0'
  #stopped = false
  #checked = true
  /** What has come last on it was an answer. */
  connected = false

  /** `trims`: nobody else reads it, so what has been read is deleted. */
  constructor(clock: Clock, options: Options, key: string, trims: boolean, events: StreamEvents) {
    this.#clock = clock
    this.#options = options
    this.#key = key
    this.#trims = trims
    this.#events = events
  }

  /** Begins behind `position`. */
  start(position: string): void {
    this.#position = position
    // Whoever starts it has just had an answer.
    this.connected = true
    const client = createClient(this.#options, 'watched')
    this.#client = client
    client.on('error', () => {})
    client.on('close', () => this.#broken())
    client.connect().catch(() => {})
    void this.#run(client)
  }

  stop(): void {
    this.#stopped = true
    this.#client?.disconnect()
  }

  async #run(client: Redis | Cluster): Promise<void> {
    while (!this.#stopped) {
      try {
        if (client.status !== 'ready') {
          await readyOf(client)
          continue
        }
        if (!this.#checked) await this.#check(client)
        await this.#read(client)
      } catch {
        this.#broken()
        await new Promise(resolve => setTimeout(resolve, retryMs).unref())
      }
    }
  }

  async #read(client: Redis | Cluster): Promise<void> {
    const reply = (await this.#watched(client, [
      'XREAD',
      'COUNT',
      entriesPerRead,
      'BLOCK',
      blockMs,
      'STREAMS',
      this.#key,
      this.#position,
    ])) as [Buffer, [Buffer, Buffer[]][]][] | null
    if (this.#stopped || reply === null) return
    const entries = reply[0]![1]
    const done = this.#events.entries(entries.map(([, fields]) => fieldsOf(fields)))
    if (done !== undefined) await done
    this.#position = String(entries.at(-1)![0])
    // Trimmed behind what has been dealt with; should that get lost, the next one does it.
    if (this.#trims) client.callBuffer('XTRIM', this.#key, 'MINID', next(this.#position)).catch(() => {})
  }

  // A server that hangs gives no answer at all, not even the empty one that is due; and ioredis never settles what was asked on a
  // connection that has broken, where it is told not to ask again.
  #watched(client: Redis | Cluster, [name, ...parts]: readonly [string, ...(string | number)[]]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        late.cancel()
        client.off('close', broken)
      }
      const broken = (): void => {
        done()
        reject(new Error('the connection has broken'))
      }
      const late = afterAwake(this.#clock, blockMs + this.#options.commandTimeout, () => renew(client))
      client.once('close', broken)
      client
        .callBuffer(name, ...parts)
        .then(resolve, reject)
        .finally(done)
    })
  }

  async #check(client: Redis | Cluster): Promise<void> {
    const { last, first } = await bounds(parts => this.#watched(client, parts), this.#key)
    this.#checked = true
    this.connected = true
    const lost = compare(last, this.#position) < 0
    const trimmed =
      !this.#trims &&
      this.#position !== '0-0' &&
      compare(last, this.#position) > 0 &&
      // An administrator may have emptied it: what it held is as lost.
      (first === null || compare(first, this.#position) > 0)
    if (lost) this.#position = last
    if (lost || trimmed) this.#events.missed()
    this.#events.resumed()
  }

  #broken(): void {
    this.connected = false
    this.#checked = false
  }
}

/** The id of the last entry that a stream ever had, and the first that it has; `0-0` and null where there is none. */
export async function bounds(
  ask: (parts: readonly [string, ...(string | number)[]]) => Promise<unknown>,
  key: string,
): Promise<{ last: string; first: string | null }> {
  let info: unknown[]
  try {
    info = (await ask(['XINFO', 'STREAM', key])) as unknown[]
  } catch (error) {
    if (/no such key/.test((error as Error).message)) return { last: '0-0', first: null }
    throw error
  }
  const values = new Map<string, unknown>()
  for (let i = 0; i < info.length; i += 2) values.set(String(info[i]), info[i + 1])
  const first = values.get('first-entry') as [Buffer, unknown] | null
  return { last: String(values.get('last-generated-id')), first: first === null ? null : String(first[0]) }
}

function fieldsOf(list: readonly Buffer[]): StreamEntry {
  const fields = new Map<string, Buffer>()
  for (let i = 0; i < list.length; i += 2) fields.set(list[i]!.toString(), list[i + 1]!)
  return fields
}

function compare(a: string, b: string): number {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number)
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number)
  return aMs - bMs || aNumber - bNumber
}

function next(id: string): string {
  const [ms, number = 0] = id.split('-').map(Number)
  return `${ms}-${number + 1}`
}

function readyOf(client: Redis | Cluster): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      client.off('ready', done)
      client.off('close', done)
      client.off('end', done)
      resolve()
    }
    client.on('ready', done)
    client.on('close', done)
    client.on('end', done)
  })
}
