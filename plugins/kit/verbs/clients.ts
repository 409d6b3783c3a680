import type { Client } from '../../../core/connection/client.ts'
import { OperatorError } from '../../../core/errors.ts'
import type { OptionsOf } from '../../../core/options/options.ts'
import { AddressList, networkOf, readNetwork } from '../network.ts'
import type { clientsVerb } from './declarations.ts'
import type { VerbWork } from './define-verb.ts'
import { firstOf, mergePages, type Page, type RowKey, readCursor, writeCursor } from './page.ts'

/** A connected client, in one row. Times are milliseconds since the Unix epoch. */
export interface ClientRow {
  /** The client id. */
  readonly id: string
  /** The user name; null: none. */
  readonly user: string | null
  /** The client's network address. */
  readonly address: string
  /** What is spoken: `tcp`, `tls`, `ws`, `wss`. */
  readonly protocol: string
  /** The version of MQTT: `3.1`, `3.1.1`, `5`. */
  readonly mqtt: string
  /** The node that it is connected to. */
  readonly node: string
  /** When its connection was accepted. */
  readonly connectedAt: number
  /** When the last bytes came of it. */
  readonly lastSeenAt: number
  /** Its Keep Alive in seconds; 0: none. */
  readonly keepAlive: number
  /** How many topic filters its session has subscribed to. */
  readonly subscriptions: number
  /** Messages that wait for it; of a stored session those in flight too. */
  readonly queued: number
  /** Messages of QoS 1 and 2 that it has not acknowledged. */
  readonly inflight: number
  /** Bytes that wait for its connection to take them. */
  readonly unwritten: number
  /** Bytes that are kept for this connection and would be free without it. */
  readonly held: number
  /** More waits for it than it takes. */
  readonly slow: boolean
}

const versions: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

/** What `clients` says of one. */
export function rowOf(client: Client, node: string): ClientRow {
  return {
    id: client.clientId,
    user: client.username,
    address: client.remoteAddress,
    protocol: client.transport.protocol,
    mqtt: versions[client.version] ?? String(client.version),
    node,
    connectedAt: Math.round(client.acceptedAt),
    lastSeenAt: Math.round(client.lastSeen),
    keepAlive: client.keepAlive,
    subscriptions: client.session?.subscriptions.size ?? 0,
    queued: client.queued,
    inflight: client.inFlight,
    unwritten: client.unwrittenBytes,
    held: client.heldBytes,
    slow: client.congested,
  }
}

const sortedBy: Readonly<Record<string, (client: Client) => string | number>> = {
  id: ({ clientId }) => clientId,
  user: ({ username }) => username ?? '',
  address: ({ remoteAddress }) => remoteAddress,
  connectedAt: ({ acceptedAt }) => Math.round(acceptedAt),
  queued: ({ queued }) => queued,
  inflight: ({ inFlight }) => inFlight,
  unwritten: ({ unwrittenBytes }) => unwrittenBytes,
  held: ({ heldBytes }) => heldBytes,
}

type Given = OptionsOf<typeof clientsVerb.takes>

/** The connected clients, by what is asked for. */
export const clients: VerbWork<typeof clientsVerb.takes> = {
  async run(broker, given): Promise<Page<ClientRow>> {
    const { limit, after, sort } = given
    const value = sortedBy[sort]!
    const keyOf = (client: Client): RowKey => [value(client), client.clientId]
    const { found, more } = await firstOf(broker, broker.clients, { limit, after: readCursor(after), keep: filterOf(given), keyOf })
    const last = found.at(-1)
    const rows = found.map(client => rowOf(client, broker.verbs.node))
    return { rows, next: more && last !== undefined ? writeCursor(keyOf(last)) : null }
  },
  merge: (parts, missing, { limit, sort }) =>
    mergePages<ClientRow>(parts, missing, limit, row => [(row[sort as keyof ClientRow] ?? '') as string | number, row.id]),
}

function filterOf({ user, address, match, slow, queued, protocol }: Given): (client: Client) => boolean {
  const isFrom = address === null ? null : addressTest(address)
  return client =>
    client.state === 'connected' &&
    (user === null || client.username === user) &&
    (isFrom === null || isFrom(client.remoteAddress)) &&
    (match === null || client.clientId.includes(match)) &&
    (protocol === null || client.transport.protocol === protocol) &&
    (!slow || client.congested) &&
    (queued === null || client.queued >= queued)
}

/** Whether an address is the one that is asked for, or lies in its network: `10.0.0.7`, `10.0.0.0/8`; what is no IP address is compared as it is. */
export function addressTest(asked: string): (address: string) => boolean {
  if (!asked.includes('/')) {
    const wanted = networkOf(asked, 128)
    return address => networkOf(address, 128) === wanted
  }
  if (readNetwork(asked) === null)
    throw new OperatorError('ERR_ARGUMENTS', `address: ${asked} is no address and no network; write 10.0.0.7 or 10.0.0.0/8`)
  const list = new AddressList([asked], 'address')
  return address => list.has(address)
}
