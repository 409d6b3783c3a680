import type { Due, StoredWill } from '../../core/sessions/session-store.ts'
import { decodeWill, encodeWill } from '../kit/stored-message.ts'
import { keepWill } from './operations/keep-will.ts'
import { takeWill } from './operations/take-will.ts'
import { all, nothing, type Writes } from './writes.ts'

interface Orphan {
  readonly node: string
  readonly run: string
  readonly clientId: string
}

const noBytes = Buffer.alloc(0)
const idsPerPage = 1000

/**
 * Wills of sessions that end with their connection. A will lies beside its client's session, so that a claim can hand it out, and says which run of
 * which node keeps it; that run's client ids lie in a set, so that the wills are found when the run has ended. The sets are hints only: the will itself
 * decides, in one script, so that one node gets it.
 */
export class CleanWills {
  readonly #writes: Writes
  readonly #node: string
  /** Names this run of this node. */
  readonly run: string
  // Wills of runs that have ended, and the sets that name them.
  readonly #orphans = new Map<string, Orphan>()
  readonly #found = new Set<string>()
  readonly #ownOrphans = new Set<string>()

  constructor(writes: Writes, node: string) {
    this.#writes = writes
    this.#node = node
    this.run = writes.writers.processId
  }

  async keep(clientId: string, node: string, will: StoredWill | null): Promise<void> {
    const { keys, messageFormat } = this.#writes.writers
    const { run } = this
    const bytes = will === null ? noBytes : encodeWill(will, messageFormat)
    const cleanWills = keys.cleanWills(clientId)
    // All in one turn, so that what is called next for the same client id comes behind it.
    await Promise.all([
      // With each: whoever took this run for ended, and handed its wills out, has struck it off.
      will !== null && this.#writes.command('sadd', keys.willRuns, [`${node}\0${run}`]),
      this.#writes.command(will === null ? 'srem' : 'sadd', keys.willsOf(node, run), [clientId]),
      this.#writes.write(cleanWills, out => keepWill.write(out, { cleanWills, node, run, will: bytes }), nothing, {
        bytes: 200 + bytes.length,
        refusable: will !== null,
      }),
    ])
  }

  /** An earlier run of this node has left a will under this client id, unless it has been handed out. */
  hasOrphan(clientId: string): boolean {
    return this.#ownOrphans.has(clientId)
  }

  /** Looks for runs that have ended: those of this node but for this one, and those of nodes that do not live. */
  async look(isLiving: (node: string) => boolean): Promise<void> {
    const { link, keys, refusals } = this.#writes.writers
    const [members] = await link.askEach(
      [keys.willRuns],
      key => ['smembers', key],
      (error, key) => {
        refusals.refuse(error, key)
        return []
      },
    )
    for (const member of members as Buffer[]) {
      const name = String(member)
      const [node = '', run = ''] = name.split('\0')
      const hasEnded = node === this.#node ? run !== this.run : !isLiving(node)
      if (hasEnded && !this.#found.has(name)) await this.#read(node, run)
    }
  }

  async #read(node: string, run: string): Promise<void> {
    const { link, keys, refusals } = this.#writes.writers
    let cursor = '0'
    do {
      const at = cursor
      const [page] = await link.askEach(
        [keys.willsOf(node, run)],
        key => ['sscan', key, at, 'count', idsPerPage],
        (error, key) => {
          refusals.refuse(error, key)
          return ['0', []]
        },
      )
      const [next, clientIds] = page as [Buffer, Buffer[]]
      cursor = String(next)
      for (const id of clientIds) {
        const orphan = { node, run, clientId: String(id) }
        this.#orphans.set(nameOf(orphan), orphan)
        if (node === this.#node) this.#ownOrphans.add(orphan.clientId)
      }
    } while (cursor !== '0')
    this.#found.add(`${node}\0${run}`)
    await this.#forgetEmpty(node, run)
  }

  /** Wills that are due because the runs that kept them have ended; of this node's own runs only where `own`. */
  async due(limit: number, own: boolean): Promise<Due[]> {
    const some: Orphan[] = []
    for (const orphan of this.#orphans.values()) {
      if (some.length >= limit) break
      if (!own || orphan.node === this.#node) some.push(orphan)
    }
    const wills = await Promise.all(some.map(orphan => this.#takeOne(orphan)))
    return wills.flatMap((will, i) => (will === null ? [] : [{ kind: 'will', clientId: some[i]!.clientId, will }]))
  }

  async #takeOne(orphan: Orphan): Promise<StoredWill | null> {
    const { clientId, node, run } = orphan
    const { keys } = this.#writes.writers
    const cleanWills = keys.cleanWills(clientId)
    const rows = await this.#writes.write(cleanWills, out => takeWill.write(out, { cleanWills, node, run }), all)
    this.#orphans.delete(nameOf(orphan))
    if (node === this.#node) this.#ownOrphans.delete(clientId)
    await this.#writes.command('srem', keys.willsOf(node, run), [clientId])
    await this.#forgetEmpty(node, run)
    const [row] = rows ?? []
    return row === undefined ? null : decodeWill(row.values[0] as Buffer)
  }

  async #forgetEmpty(node: string, run: string): Promise<void> {
    const { keys } = this.#writes.writers
    if ((await this.#writes.command('exists', keys.willsOf(node, run), [])) !== 0) return
    await this.#writes.command('srem', keys.willRuns, [`${node}\0${run}`])
    this.#found.delete(`${node}\0${run}`)
  }
}

function nameOf({ node, run, clientId }: Orphan): string {
  return `${node}\0${run}\0${clientId}`
}
