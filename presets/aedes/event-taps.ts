import { type Client as CoreClient, type DisconnectReason, type Hooks, ReasonCode, type Session } from '../index.ts'
import type { Client } from './client.ts'
import type { CheckedOptions } from './options.ts'
import type { Wiring } from './wiring.ts'

// How a connection ends of which the program knows by itself, or nobody is to blame for.
const blameless: ReadonlySet<number> = new Set([
  ReasonCode.ServerShuttingDown,
  ReasonCode.SessionTakenOver,
  ReasonCode.AdministrativeAction,
])

/** Tells the program of clients: that they come, are ready, subscribe, unsubscribe, and go. */
export function tapEvents(wiring: Wiring, hooks: Hooks): void {
  const clientOf = (core: CoreClient): Client => wiring.clientOf(core)
  hooks.onSessionOpened.tap('aedes', ({ client }) => wiring.came(clientOf(client!)))
  hooks.onConnected.tap('aedes', (core, sessionPresent) => ready(wiring, clientOf(core), sessionPresent))
  hooks.onSubscribed.tap('aedes', (core, attempt) => clientOf(core).link.filters.answered(attempt, attempt.qos))
  hooks.onSubscribeRefused.tap('aedes', (core, attempt, reasonCode) => clientOf(core).link.filters.answered(attempt, reasonCode))
  hooks.onUnsubscribed.tap('aedes', (core, { requested }) => clientOf(core).link.filters.gone(requested))
  hooks.onSessionClosed.tap('aedes', session => closed(wiring, session))
  hooks.onDisconnect.tap('aedes', (core, reason) => ended(clientOf(core), wiring.options, reason))
}

/** CONNACK is written. Events follow when it has left, so that whoever hears of them may count on it. */
function ready({ aedes, broker }: Wiring, client: Client, sessionPresent: boolean): void {
  const { link } = client
  const { clock } = broker
  link.filters.takeAwayRefused()
  link.open()
  clock.turn(() => {
    if (client.closed) return
    aedes.emit('connackSent', { cmd: 'connack', returnCode: 0, sessionPresent }, client)
    clock.turn(() =>
      clock.turn(() => {
        if (client.closed) return
        client.connecting = false
        client.connected = true
        aedes.emit('clientReady', client)
        client.emit('connected')
      }),
    )
  })
}

function closed(wiring: Wiring, { client, durable, expiryMs, subscriptions }: Session): void {
  if (client === null || (durable && expiryMs > 0)) return
  wiring.clientOf(client).link.filters.allGone([...subscriptions.values()].map(({ requested, filter }) => requested ?? filter))
}

function ended(client: Client, { maxInflightInbound }: CheckedOptions, { by, code, message }: DisconnectReason): void {
  const { link } = client
  if (by === 'server' && code >= 0x80 && !blameless.has(code)) {
    // What went wrong in aedes' words, where it has some.
    const wildcard = / name holds ([+#])$/.exec(message)?.[1]
    const words: Readonly<Record<number, string>> = {
      [ReasonCode.KeepAliveTimeout]: 'keep alive timeout',
      [ReasonCode.ProtocolError]: 'Invalid protocol',
      [ReasonCode.TopicNameInvalid]: wildcard === undefined ? 'topic has too many levels' : `${wildcard} is not allowed in PUBLISH`,
      [ReasonCode.ReceiveMaximumExceeded]: `maxInflightInbound exceeded: ${maxInflightInbound} inbound QoS 2 messages already awaiting PUBREL`,
    }
    link.blame(new Error(words[code] ?? message, { cause: message }))
  }
  link.silent = code === ReasonCode.KeepAliveTimeout
  // An MQTT 5 client is told why, and has a moment to read it.
  if (client.version !== 5) client.conn.destroy()
  link.end()
}
