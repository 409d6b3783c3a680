import { type Client, isClient } from '../../core/connection/client.ts'
import type { Hooks } from '../../core/hooks.ts'
import type { Publisher } from '../../core/publisher.ts'

// Clients that may leave a will, or a session that waits; of more those are forgotten that have not come or gone for longest.
const clientsMax = 100_000

/** Which listener a client is connected to; of one that has gone, which it was. */
export class ListenersOfClients {
  readonly #hooks: Hooks
  readonly #last = new Map<string, string>()
  #watches = false

  constructor(hooks: Hooks) {
    this.#hooks = hooks
  }

  /** From here on it is remembered who comes by which listener: some rule asks. */
  watch(): void {
    if (this.#watches) return
    this.#watches = true
    const remember = ({ clientId, transport }: Client): void => {
      this.#last.delete(clientId)
      this.#last.set(clientId, transport.listener)
      if (this.#last.size > clientsMax) this.#last.delete(this.#last.keys().next().value!)
    }
    this.#hooks.onConnected.tap('topicSecurity', remember)
    // Once more, so that whoever has gone lately is remembered longest.
    this.#hooks.onDisconnect.tap('topicSecurity', remember)
  }

  /** `undefined`: it has not been connected since the broker began. */
  of(publisher: Publisher): string | undefined {
    if (isClient(publisher)) return publisher.transport.listener
    return this.#last.get(publisher.clientId)
  }
}
