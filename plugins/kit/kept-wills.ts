import type { Broker } from '../../core/broker.ts'
import { Stage } from '../../core/hooks.ts'
import type { StoredWill } from '../../core/sessions/session-store.ts'

// So many are tried again each time.
const retriesMax = 100
// Beyond it the oldest are not tried again: the store has been away for long.
const untoldMax = 100_000

type WillsBroker = Pick<Broker, 'clients' | 'clientOf' | 'hooks' | 'report' | 'services' | 'settings'>

/**
 * Wills of sessions that end with their connection, as the store has to know them: it keeps them while their clients are connected, so that they outlive the
 * broker. Nothing waits for it. What the store did not take is told to it again, as it is by then.
 */
export class KeptWills {
  readonly #broker: WillsBroker
  // Of connected clients only.
  readonly #kept = new Set<string>()
  readonly #untold = new Set<string>()

  constructor(broker: WillsBroker) {
    this.#broker = broker
    const tap = { name: 'keptWills', stage: Stage.Guard }
    broker.hooks.onConnected.tap(tap, ({ clientId }) => this.#changed(clientId))
    // Its will has been sent, or is void.
    broker.hooks.onDisconnect.tap(tap, ({ clientId }) => this.#changed(clientId))
  }

  /** The store has lost what it kept, or has handed it out because it took this broker for dead: it is told all again. */
  again(): void {
    for (const { clientId } of this.#broker.clients) if (this.#willOf(clientId) !== null) this.#untold.add(clientId)
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

  #changed(clientId: string): void {
    if (this.#willOf(clientId) !== null) this.#kept.add(clientId)
    else if (!this.#kept.delete(clientId)) return
    this.#tell(clientId)
  }

  #tell(clientId: string): void {
    const { services, settings } = this.#broker
    const done = services.find('sessions')?.keepWill?.(clientId, settings.brokerId, this.#willOf(clientId))
    if (!(done instanceof Promise)) return
    done.catch(error => {
      this.#broker.report(error)
      this.#untold.add(clientId)
      if (this.#untold.size > untoldMax) for (const oldest of this.#untold) return void this.#untold.delete(oldest)
    })
  }

  #willOf(clientId: string): StoredWill | null {
    const client = this.#broker.clientOf(clientId)
    return client === undefined || client.session?.expiryMs !== 0 ? null : client.will
  }
}
