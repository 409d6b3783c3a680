import { OperatorError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import { StoreAwayError } from '../../core/sessions/session-store.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import type { Bus, BusEvents, BusTerms, Node } from '../kit/services/bus.ts'
import { usesHandles } from '../kit/transports/handle-trial.ts'
import { LocalWays } from './local-ways.ts'
import { Kind, PeerLinks, type PeerRun } from './peer-links.ts'
import type { FromSequencer } from './sequence.ts'
import { SequencerLink } from './sequencer-link.ts'

// What another worker has not read yet. Messages at QoS 0 are lost earlier.
const postedBytesMax = 64 * 1024 * 1024
const toldBytesMax = 16 * 1024 * 1024

/** What the parts of stores hear by the bus. */
export interface StoreEvents {
  joined(node: Node): void
  left(node: Node): void
  /** What a part has told all, in one order with what the cluster announces. */
  noted(from: string, record: never): void
  /** Another worker's part speaks to this one's. */
  asked(from: PeerRun, bytes: Buffer): void
}

/** The bus between the workers of one broker: announcements by the sequencer, messages from worker to worker. */
export class LocalBus implements Bus {
  readonly node: string
  readonly near = true
  readonly #folder: string
  readonly #ways: LocalWays
  readonly #clock: Clock
  readonly #log: Log
  readonly #links: PeerLinks
  readonly #nodes = new Map<string, Node>()
  /** Runs of workers that have ended. */
  readonly #gone = new Set<string>()
  readonly #boot: string
  #link: SequencerLink | null = null
  #events: BusEvents | null = null
  #facts: () => Node['facts'] = () => ({})
  #waiting: (() => void | Promise<void>)[] | null = []
  #beat: Timer | null = null
  #isStopping = false
  /** Called when this worker is none of the others any more. */
  onLost: () => void = () => {}
  /** Told what concerns stores; null: nobody keeps a part. */
  stores: StoreEvents | null = null

  constructor(folder: string, node: string, clock: Clock, log: Log, ways = new LocalWays()) {
    this.node = node
    this.#ways = ways
    this.#log = log
    this.#folder = folder
    this.#clock = clock
    this.#boot = clock.random(6).toString('hex')
    this.#links = new PeerLinks(ways, folder, node, (from, kind, bytes) => this.#received(from, kind, bytes))
  }

  get connected(): boolean {
    return this.#link?.isOpen === true
  }

  async open(events: BusEvents, { heartbeatMs, expiryMs, facts }: BusTerms): Promise<void> {
    this.#events = events
    this.#facts = facts
    await this.#links.listen(this.#boot, this.#ways.areSockets && (await usesHandles('tcp', true, this.#log)))
    const link = new SequencerLink(
      this.#ways,
      this.#folder,
      message => this.#heard(message),
      () => this.#lost(),
    )
    this.#link = link
    const self = { name: this.node, boot: this.#boot, facts: facts() }
    try {
      await link.ask(id => ['open', id, self, heartbeatMs, expiryMs])
    } catch (error) {
      this.stop(true)
      if (error instanceof StoreAwayError) throw error
      throw new OperatorError('ERR_NODE_TWICE', `brokerId: a worker named ${this.node} is alive`)
    }
    this.#nodes.set(self.name, self)
    this.#beat = this.#clock.every(heartbeatMs, () => link.say(['beat', facts()]))
  }

  // The supervisor has gone, and this worker ends with it; or it was frozen for so long that the others go on without it.
  #lost(): void {
    if (this.#isStopping || this.#nodes.size === 0) return
    this.#hears(() => this.#events!.interrupted())
    this.#hears(() => this.#events!.expelled())
    this.onLost()
  }

  async run(): Promise<void> {
    const waiting = this.#waiting ?? []
    // What comes meanwhile comes behind it.
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await next()
    this.#waiting = null
  }

  #hears(tell: () => void | Promise<void>): void | Promise<void> {
    if (this.#waiting === null) return tell()
    this.#waiting.push(tell)
  }

  #heard(message: FromSequencer): void {
    switch (message[0]) {
      case 'joined': {
        const [, node] = message
        this.#nodes.set(node.name, node)
        this.stores?.joined(node)
        return void this.#hears(() => this.#events!.joined(node))
      }
      case 'left': {
        const [, node, died] = message
        if (this.#nodes.get(node.name)?.boot === node.boot) this.#nodes.delete(node.name)
        this.#gone.add(node.boot)
        this.#links.left(node.boot)
        this.stores?.left(node)
        return void this.#hears(() => this.#events!.left(node, died))
      }
      case 'inherit': {
        const [, node] = message
        return void this.#hears(() => {
          void Promise.resolve(this.#events!.inherited(node)).then(() => this.#link!.say(['done', node.name, node.boot]))
        })
      }
      case 'beat': {
        const [, name, facts] = message
        const node = this.#nodes.get(name)
        if (node !== undefined) this.#nodes.set(name, { ...node, facts })
        return
      }
      case 'said': {
        const [, from, id, what, record] = message
        void this.#hears(() => {
          if (what === 'n') this.stores?.noted(from, record as never)
          else this.#events!.announced(from, record)
        })
        if (from === this.node) this.#link!.answered(id, null)
      }
    }
  }

  #received(from: PeerRun, kind: Kind, bytes: Buffer): void | Promise<void> {
    // What lies in it may be kept for long. Of a worker that was taken for dead all have done what is to be done.
    if (kind === Kind.Store && this.#gone.has(from.boot)) return
    if (kind === Kind.Store) return this.stores?.asked(from, Buffer.from(bytes))
    const isTold = kind === Kind.Told
    if (this.#waiting === null) {
      const taken = this.#events!.received(from.name, bytes, isTold)
      return isTold ? undefined : taken
    }
    const copy = Buffer.from(bytes)
    this.#waiting.push(() => this.#events!.received(from.name, copy, isTold))
  }

  nodes(): readonly Node[] {
    return [...this.#nodes.values()].map(node => (node.name === this.node ? { ...node, facts: this.#facts() } : node))
  }

  announce(record: unknown): Promise<void> {
    return this.#say('a', record)
  }

  /** Tells the parts of all workers, this one's too; resolves when this one has heard it. */
  note(record: unknown): Promise<void> {
    return this.#say('n', record)
  }

  #say(what: 'a' | 'n', record: unknown): Promise<void> {
    if (this.#link === null) return Promise.reject(new StoreAwayError('this worker has not joined the others yet'))
    return this.#link.ask<void>(id => ['say', id, what, record])
  }

  tell(node: string, frame: Buffer): void {
    const boot = this.#nodes.get(node)?.boot
    if (boot === undefined) return
    const link = this.#links.to(boot, false)
    if (link.waiting <= toldBytesMax) link.write(Kind.Told, frame)
  }

  post(node: string, frame: Buffer): Promise<void> {
    const boot = this.#nodes.get(node)?.boot
    if (boot === undefined) return Promise.resolve()
    const link = this.#links.to(boot, false)
    if (link.waiting > postedBytesMax) return Promise.reject(new StoreAwayError(`worker ${node} does not keep up`))
    // What the kernel has, the other worker reads as long as it lives.
    return new Promise(resolve => link.write(Kind.Posted, frame, resolve))
  }

  /** To the part of another worker; false: it is not there. */
  toPart(node: string, bytes: Buffer): boolean {
    const boot = this.#nodes.get(node)?.boot
    if (boot === undefined) return false
    this.#links.to(boot, true).write(Kind.Store, bytes)
    return true
  }

  /** Answers the part of that very run of a worker, which this one may not have heard of yet; nobody, where it has gone. */
  answerPart({ boot }: PeerRun, bytes: Buffer): void {
    if (!this.#gone.has(boot)) this.#links.to(boot, true).write(Kind.Store, bytes)
  }

  async setRow(table: string, key: string, value: Buffer | null): Promise<void> {
    await this.#ask(id => ['row', id, table, key, value === null ? null : value.toString('base64')])
  }

  async *rows({ name, boot }: Node, table: string): AsyncIterable<readonly [string, Buffer]> {
    const rows = await this.#ask<[string, string][] | null>(id => ['rows', id, name, boot, table])
    for (const [key, value] of rows ?? []) yield [key, Buffer.from(value, 'base64')]
  }

  takeRow({ name, boot }: Node, table: string, key: string): Promise<boolean> {
    return this.#ask(id => ['take', id, name, boot, table, key])
  }

  agree(name: string, value: string): Promise<string> {
    return this.#ask(id => ['agree', id, name, value])
  }

  #ask<T>(message: Parameters<SequencerLink['ask']>[0]): Promise<T> {
    return this.#link === null
      ? Promise.reject(new StoreAwayError('this worker has not joined the others yet'))
      : this.#link.ask<T>(message)
  }

  /** Leaves; `crash`: without a word, as `kill -9` would. */
  async stop(crash = false): Promise<void> {
    this.#isStopping = true
    this.#beat?.cancel()
    if (!crash && this.connected) await this.#ask(id => ['bye', id]).catch(() => {})
    this.#link?.close()
    this.#links.stop(!crash)
  }
}
