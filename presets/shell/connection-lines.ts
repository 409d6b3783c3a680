import type { BrokerCore } from '../../core/broker-core.ts'
import type { Connection } from '../../core/connection/connection.ts'
import type { DisconnectReason } from '../../core/connection/disconnect-reason.ts'
import { LineThrottle } from '../../core/line-throttle.ts'

/** What the log says of clients that come and go. */
export class ConnectionLines {
  readonly #broker: BrokerCore
  // Whoever may not come in may come again at once.
  readonly #refused: LineThrottle

  constructor(broker: BrokerCore) {
    this.#broker = broker
    this.#refused = new LineThrottle(broker.clock, { everyMs: 1000, kindsMax: 1000 })
  }

  /** CONNACK is written. */
  connected(connection: Connection, sessionPresent: boolean): void {
    const { version, keepAlive, session } = connection
    const { log } = this.#broker
    if (!log.isLevelEnabled('info')) return
    const expiry = session?.expiryMs === Number.POSITIVE_INFINITY ? 'never' : (session?.expiryMs ?? 0) / 1000
    log.info({ ...this.#who(connection), version, keepAlive, expiry, sessionPresent }, 'connected')
  }

  /** Its connection has ended. */
  ended(connection: Connection, { message: reason, code, by }: DisconnectReason, wasConnected: boolean): void {
    const { log, clock } = this.#broker
    const { clientId, remoteAddress: address, transport, acceptedAt } = connection
    // Whoever has only looked whether the port is open has done nothing wrong.
    const level = clientId === '' && by !== 'server' ? 'debug' : 'info'
    if (!log.isLevelEnabled(level)) return
    const times = wasConnected || level === 'debug' ? 1 : this.#refused.pass(address)
    if (times === 0) return
    const more = times > 1 ? { times } : {}
    if (clientId === '') return log[level]({ address, listener: transport.listener, reason, ...more }, 'closed before CONNECT')
    const seconds = Math.round((clock.now() - acceptedAt) / 1000)
    log.info({ ...this.#who(connection), reason, code, by, ...(wasConnected ? { seconds } : {}), ...more }, 'disconnected')
  }

  /** What each line says of a client. */
  #who({ clientId, username: user, remoteAddress: address, transport }: Connection): object {
    const { protocol, listener } = transport
    return { clientId, user, address, protocol, listener, node: this.#broker.settings.brokerId }
  }
}
