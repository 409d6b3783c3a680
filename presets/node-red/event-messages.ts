import type { Broker, Client, DisconnectReason, Hooks, Message } from '../index.ts'

/** A client, as messages of the node name it: what is known of it, and nothing that a flow could change. */
export interface ClientOfEvent {
  /** The client id. */
  readonly id: string
  /** The user name; null: none. */
  readonly username: string | null
  /** 3, 4 or 5: MQTT 3.1, 3.1.1 or 5.0. Left out where the client is gone. */
  readonly version?: number
  /** The keep-alive in seconds. */
  readonly keepalive?: number
  /** The session ends with the connection. */
  readonly clean?: boolean
  /** The client's address. */
  readonly address?: string
}

/** A message of the node: from the first output what happens to clients, from the second what is published. */
export interface EventMessage {
  /** What has happened: `clientReady`, `clientDisconnect`, `subscribe`, `publish`… */
  readonly topic: string
  /** About what. */
  readonly payload: object
}

/** What the messages are for. */
export interface EventReceiver {
  /** Something has happened to a client. */
  event(topic: string, payload: object): void
  /** Whether anybody wants to hear of messages, at this moment. */
  readonly wantsPublishes: boolean
  /** A message was published. */
  publish(payload: object): void
  /** So many clients are connected. */
  connected(count: number): void
}

// How a connection ends that nobody is to blame for: shutting down, taken over, sent away by an operator.
const blameless = new Set([0x8b, 0x8e, 0x98])
const keepAliveTimeout = 0x8d

/** Tells what happens in the broker, by the names that the events of aedes have. */
export function tapEvents(hooks: Hooks, broker: Broker, receiver: EventReceiver): void {
  const name = 'nodeRed'
  const connected = new Set<Client>()

  hooks.onSessionOpened.tap(name, ({ client }) => receiver.event('client', { client: told(client!) }))
  hooks.onConnected.tap(name, client => {
    connected.add(client)
    receiver.connected(connected.size)
    receiver.event('clientReady', { client: told(client) })
  })
  hooks.onAttempted.tap(name, (client, refusal) => {
    if (refusal === null) return
    const { reasonCode, reasonString = 'not authorized' } = refusal
    receiver.event('connectionError', { client: told(client), err: { code: reasonCode, message: reasonString } })
  })
  hooks.onDisconnect.tap(name, (client, reason) => {
    const wasConnected = connected.delete(client)
    const fault = faultOf(reason)
    if (!wasConnected) {
      if (fault !== null) receiver.event('connectionError', { client: told(client), err: fault })
      return
    }
    receiver.connected(connected.size)
    if (reason.code === keepAliveTimeout) receiver.event('keepaliveTimeout', { client: told(client) })
    if (fault !== null) receiver.event('clientError', { client: told(client), err: fault })
    receiver.event('clientDisconnect', { client: told(client) })
  })
  hooks.onSubscribed.tap(name, (client, { requested, filter, qos }) =>
    receiver.event('subscribe', { topic: requested ?? filter, qos, client: told(client) }),
  )
  hooks.onUnsubscribed.tap(name, (client, { requested, filter }) =>
    receiver.event('unsubscribe', { topic: requested ?? filter, client: told(client) }),
  )
  hooks.onRoute.tap(name, message => {
    // What another node has published, it tells itself.
    if (receiver.wantsPublishes && message.origin !== 'peer')
      receiver.publish({ packet: packetOf(message), client: publisherOf(broker, message) })
  })
}

function told(client: Client): ClientOfEvent {
  const { clientId: id, username, version, keepAlive: keepalive, remoteAddress: address } = client
  return { id, username, version, keepalive, clean: client.session?.durable !== true, address }
}

function faultOf({ by, code, message }: DisconnectReason): { code: number; message: string } | null {
  return by === 'server' && code >= 0x80 && !blameless.has(code) ? { code, message } : null
}

function packetOf({ topic, payload, qos, retain, properties }: Message): object {
  return { cmd: 'publish', topic, payload, qos, retain, ...(properties === undefined ? {} : { properties }) }
}

function publisherOf(broker: Broker, { clientId, username }: Message): ClientOfEvent | null {
  if (clientId === '') return null
  const client = broker.clientOf(clientId)
  return client === undefined ? { id: clientId, username: username ?? null } : told(client)
}
