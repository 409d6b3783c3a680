import type { Settings } from '../options/settings.ts'
import type { SessionStore, StoredWill } from './session-store.ts'

// So many are tried again each time.
const retriesMax = 100
// Beyond it the oldest are not tried again: the store has been away for long.
const untoldMax = 100_000

/** What is used of a connection here. */
interface WillingConnection {
  readonly clientId: string
  readonly session: { readonly expiryMs: number } | null
  readonly will: StoredWill | null
}

/** What is used of the broker here. */
export interface KeptWillsHost {
  readonly settings: Settings
  readonly sessions: SessionStore
  readonly connections: Iterable<WillingConnection>
  connectionOf(clientId: string): WillingConnection | undefined
  report(error: unknown): void
}

/**
 * Wills of sessions that end with their connection, as the store has to know them: it keeps them while their clients are connected, so that they outlive the
 * broker. Nothing waits for it. What the store did not take is told to it again, as it is by then.
 */
export class KeptWills {
  readonly #host: KeptWillsHost
  // Of connected clients only.
  readonly #kept: Set<string>
  readonly #untold: Set<string>

  constructor(host: KeptWillsHost) {
    this.#host = host
    this.#kept = new Set()
    this.#untold = new Set()
  }

  /** A client has connected, or its connection has ended and its will has been sent or is void. */
  changed(clientId: string): void {
    if (this.#willOf(clientId) !== null) this.#kept.add(clientId)
    else if (!this.#kept.delete(clientId)) return
    this.#tell(clientId)
  }

  /** The store has lost what it kept, or has handed it out because it took this broker for dead: it is told all again. */
  again(): void {
    for (const { clientId } of this.#host.connections) if (this.#willOf(clientId) !== null) this.#untold.add(clientId)
  }

  /** Called now and then. */
  retry(): void {
    let count = 0
    for (const clientId of this.#untold) {
      if (count === retriesMax) return
      count += 1
      this.#untold.delete(clientId)
      this.#tell(clientId)
    }
  }

  #tell(clientId: string): void {
    const { sessions, settings } = this.#host
    const done = sessions.keepWill?.(clientId, settings.brokerId, this.#willOf(clientId))
    if (!(done instanceof Promise)) return
    done.catch(error => {
      this.#host.report(error)
      this.#untold.add(clientId)
      if (this.#untold.size > untoldMax) for (const oldest of this.#untold) return void this.#untold.delete(oldest)
    })
  }

  #willOf(clientId: string): StoredWill | null {
    const client = this.#host.connectionOf(clientId)
    return client === undefined || client.session?.expiryMs !== 0 ? null : client.will
  }
}
