import type { TransportEvents } from '../../../core/connection/transport.ts'
import type { LocalSockets, LocalTransport } from '../../../plugins/kit/services/local-sockets.ts'
import type { Chance } from './chance.ts'
import { Way } from './network.ts'
import type { Party, World } from './world.ts'

interface Listener {
  readonly party: Party
  accept(transport: LocalTransport): void
}

/** One end of a connection between two processes of the simulated machine. */
class End implements LocalTransport {
  readonly protocol = 'sim'
  readonly listener = 'sim'
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly #world: World
  readonly #touch: () => void
  readonly party: Party
  #events: TransportEvents | null = null
  #isClosed = false
  /** What goes out from here, and what comes. */
  out!: Way
  into!: Way

  constructor(world: World, party: Party, touch: () => void) {
    this.#world = world
    this.party = party
    this.#touch = touch
  }

  listen(events: TransportEvents): void {
    this.#events = events
    this.into.resume()
  }

  get bufferedBytes(): number {
    return this.out.held
  }

  write(bytes: Buffer): boolean {
    this.#touch()
    if (!this.party.isGone && !this.#isClosed) this.out.send(Buffer.from(bytes))
    return true
  }

  writeMany(buffers: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(buffers))
  }

  /** The system has taken what was written. */
  taken(): void {
    if (!this.party.isGone && !this.#isClosed) this.#events?.onDrain()
  }

  arrived(bytes: Buffer): void {
    this.#events?.onData(bytes, 0, bytes.length)
  }

  pause(): void {
    this.into.pause()
  }

  resume(): void {
    this.into.resume()
  }

  end(): void {
    if (!this.party.isGone) this.out.end()
  }

  destroy(): void {
    if (this.party.isGone || this.#isClosed) return
    this.out.end()
    this.#world.after(0.01, this.party, `closed ${this.party.name}`, () => this.close(undefined))
  }

  close(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.into.cut()
    this.#events?.onClose(error)
  }

  /** The process at this end is dead: the other end reads what the system has, and then the end. */
  died(): void {
    this.into.cut()
    this.out.end()
  }
}

/** Sockets of one machine, by their paths: what is written to one its reader gets, as long as that lives. */
export class LocalNetwork {
  readonly #world: World
  readonly #chance: Chance
  readonly #listeners = new Map<string, Listener>()
  readonly #ends = new Set<End>()

  constructor(world: World, chance: Chance) {
    this.#world = world
    this.#chance = chance
  }

  /** As one process sees them. `touch`: called at each thing that it wants of them. */
  of(party: Party, touch: () => void): LocalSockets {
    return {
      listen: async (path, accept) => {
        touch()
        if (party.isGone) return new Promise(() => {})
        this.#listeners.set(path, { party, accept })
        return { close: () => this.#listeners.delete(path) }
      },
      connect: path => {
        touch()
        return this.#connect(path, party, touch)
      },
    }
  }

  #connect(path: string, party: Party, touch: () => void): LocalTransport {
    const listener = this.#listeners.get(path)
    const to = listener?.party ?? party
    const own = new End(this.#world, party, touch)
    const other = new End(this.#world, to, touch)
    const way = (from: End, into: End): Way =>
      new Way(this.#world, this.#chance, `${from.party.name}-${into.party.name}`, into.party, this.#chance.pick([0.02, 0.1, 0.5, 3]), {
        deliver: bytes => into.arrived(bytes),
        end: () => {
          into.close(undefined)
          into.out.end()
          this.#ends.delete(into)
        },
        taken: () => void this.#world.after(0.01, from.party, `taken ${from.party.name}`, () => from.taken()),
      })
    other.into = own.out = way(own, other)
    own.into = other.out = way(other, own)
    // Nobody reads before somebody listens.
    own.into.pause()
    other.into.pause()
    if (listener === undefined || to.isGone) {
      const error = Object.assign(new Error(`connect ECONNREFUSED ${path}`), { code: 'ECONNREFUSED' })
      this.#world.after(0.01, party, `refused ${party.name}`, () => own.close(error))
      return own
    }
    this.#ends.add(own)
    this.#ends.add(other)
    this.#world.after(this.#chance.latency(0.5), to, `accept ${party.name}-${to.name}`, () => listener.accept(other))
    return own
  }

  /** A process has died: the system closes what it had open. */
  died(party: Party): void {
    for (const [path, listener] of this.#listeners) if (listener.party === party) this.#listeners.delete(path)
    for (const end of [...this.#ends]) {
      if (end.party !== party) continue
      end.died()
      this.#ends.delete(end)
    }
  }
}
