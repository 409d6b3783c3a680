import { Message } from '../../../core/messages/message.ts'
import type { QoS } from '../../../core/protocol/constants.ts'
import type { Properties } from '../../../core/protocol/packets.ts'
import type { Subscription } from '../../../core/routing/subscription.ts'
import { isTopicFilter, isTopicName } from '../../../core/routing/topic.ts'
import type { QueueEntry, StoredSessionState, StoredWill } from '../../../core/sessions/session-store.ts'
import type { StateEntry } from '../services/state.ts'
import { LineFields, wrongLine } from './line-fields.ts'

/** The version of the lines of an export. A version that raises it reads the older ones, and refuses newer ones. */
export const copyFormat = 1

/** The first line of an export: whose lines these are, and in which version. */
export const copyHead = { format: 'mqttx-broker export', version: copyFormat } as const

/** What an export held, as its last line says it: whoever reads it knows that it is whole. */
export interface CopyCounts {
  /** Stored sessions. */
  sessions: number
  /** Messages in their queues, in flight or not. */
  queued: number
  /** Retained messages. */
  retained: number
  /** Entries of the state: bans and the like. */
  state: number
}

/** A session as its line says it: without what stands in lines of its own, and without a connection. */
export type CopiedSession = Omit<StoredSessionState, 'node' | 'subscriptions' | 'receivedIds' | 'queued'>

/** A line of an export, read and checked. Subscriptions, identifiers and queued messages belong to the session before them. */
export type CopyLine =
  | { readonly kind: 'session'; readonly session: CopiedSession }
  | { readonly kind: 'subscription'; readonly subscription: Subscription }
  | { readonly kind: 'received'; readonly packetIds: readonly number[] }
  | { readonly kind: 'queued'; readonly entry: Omit<QueueEntry, 'position'> }
  | { readonly kind: 'retained'; readonly message: Message }
  | { readonly kind: 'state'; readonly entry: StateEntry }
  | { readonly kind: 'end'; readonly counts: CopyCounts }

/** A session without its subscriptions and its queue, as it stands in a line. */
export function sessionLine({ clientId, user, closedAt, expiryMs, will, node }: StoredSessionState): object {
  return {
    session: {
      clientId,
      ...(user === undefined ? {} : { user }),
      expiryMs: Number.isFinite(expiryMs) ? expiryMs : null,
      ...(closedAt === null ? {} : { closedAt: Math.round(closedAt) }),
      // That of a connection is the connection's: only once it has ended is it owed to anybody.
      ...(will === null || node !== null ? {} : { will: willOf(will) }),
    },
  }
}

export function subscriptionLine(subscription: Subscription): object {
  const { filter, requested, qos, noLocal, retainAsPublished, retainHandling, identifier } = subscription
  return {
    subscription: {
      filter,
      ...(requested === undefined ? {} : { requested }),
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      identifier,
    },
  }
}

export function queuedLine({ qos, retain, identifiers, group, packetId, released, message }: QueueEntry): object {
  return { queued: { qos, retain, identifiers, group, packetId, released, message: messageOf(message) } }
}

export function retainedLine(message: Message): object {
  return { retained: messageOf(message) }
}

export function stateLine({ key, value, expiresAt }: StateEntry): object {
  return { state: { key, value, expiresAt: Number.isFinite(expiresAt) ? Math.round(expiresAt) : null } }
}

/** Reads one line behind the first; what is wrong with it is an `OperatorError` that does not say which line it is. */
export function readCopyLine(text: string): CopyLine {
  const line = LineFields.parse(text)
  const kind = line.only(['session', 'subscription', 'received', 'queued', 'retained', 'state', 'end'])
  switch (kind) {
    case 'session':
      return { kind, session: readSession(line.inner(kind)) }
    case 'subscription':
      return { kind, subscription: readSubscription(line.inner(kind)) }
    case 'received':
      return { kind, packetIds: line.integers(kind, 1, 0xffff) }
    case 'queued':
      return { kind, entry: readQueued(line.inner(kind)) }
    case 'retained':
      return { kind, message: readMessage(line.inner(kind)) }
    case 'state':
      return { kind, entry: readState(line.inner(kind)) }
    case 'end': {
      const end = line.inner(kind)
      const counts = {
        sessions: end.integer('sessions', 0),
        queued: end.integer('queued', 0),
        retained: end.integer('retained', 0),
        state: end.integer('state', 0),
      }
      end.done()
      return { kind, counts }
    }
  }
}

/** Looks at the first line: an export, of a version that is known here. */
export function checkCopyHead(text: string): void {
  const line = LineFields.parse(text)
  if (line.optionalText('format') !== copyHead.format)
    throw wrongLine(`this is no export of mqttx-broker: the first line says {"format":"${copyHead.format}","version":${copyFormat}}`)
  const version = line.integer('version', 1)
  if (version > copyFormat)
    throw wrongLine(`version ${version} of the export's lines: this mqttx-broker reads up to ${copyFormat}; take the newer one`)
}

function willOf({ message, delayMs, username, rights, mountPoint }: StoredWill): object {
  return {
    delayMs,
    username,
    ...(rights == null ? {} : { rights }),
    ...(mountPoint === undefined ? {} : { mountPoint }),
    message: messageOf(message),
  }
}

function messageOf({ topic, payload, qos, retain, properties, origin, clientId, username, receivedAt }: Message): object {
  return {
    topic,
    qos,
    retain,
    origin,
    clientId,
    ...(username === undefined ? {} : { username }),
    receivedAt: Math.round(receivedAt),
    ...(properties === undefined ? {} : { properties: propertiesOf(properties) }),
    payload: payload.toString('base64'),
  }
}

// Always in one order, so that what is the same reads the same.
function propertiesOf(properties: Properties): object {
  const found = Object.entries(properties).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, Buffer.isBuffer(value) ? value.toString('base64') : value]),
  )
}

function readSession(line: LineFields): CopiedSession {
  const clientId = line.text('clientId')
  if (clientId === '' || clientId.includes('\0')) throw wrongLine('clientId: a client id has at least one character, and no NUL')
  const user = line.has('user') ? { user: line.textOrNull('user') } : {}
  const expiryMs = line.numberOrNull('expiryMs', 1) ?? Number.POSITIVE_INFINITY
  const closedAt = line.has('closedAt') ? line.integer('closedAt', 0) : null
  const will = line.has('will') ? readWill(line.inner('will')) : null
  line.done()
  return { clientId, ...user, closedAt, expiryMs, will }
}

function readWill(line: LineFields): StoredWill {
  const delayMs = line.integer('delayMs', 0)
  const username = line.textOrNull('username')
  const rights = line.has('rights') ? line.any('rights') : null
  const mountPoint = line.has('mountPoint') ? { mountPoint: line.text('mountPoint') } : {}
  const message = readMessage(line.inner('message'))
  line.done()
  return { message, delayMs, username, rights, ...mountPoint }
}

function readSubscription(line: LineFields): Subscription {
  const filter = line.text('filter')
  const requested = line.has('requested') ? { requested: line.text('requested') } : {}
  for (const one of [filter, requested.requested ?? filter])
    if (!isTopicFilter(one)) throw wrongLine(`${one} is no topic filter; + and # stand alone between slashes`)
  const subscription = {
    filter,
    ...requested,
    qos: line.integer('qos', 0, 2) as QoS,
    noLocal: line.flag('noLocal'),
    retainAsPublished: line.flag('retainAsPublished'),
    retainHandling: line.integer('retainHandling', 0, 2) as 0 | 1 | 2,
    identifier: line.integer('identifier', 0, 268_435_455),
  }
  line.done()
  return subscription
}

function readQueued(line: LineFields): Omit<QueueEntry, 'position'> {
  const entry = {
    qos: line.integer('qos', 1, 2) as QoS,
    retain: line.flag('retain'),
    identifiers: line.isNull('identifiers') ? null : line.integers('identifiers', 1, 268_435_455),
    group: line.textOrNull('group'),
    packetId: line.integer('packetId', 0, 0xffff),
    released: line.flag('released'),
    message: readMessage(line.inner('message')),
  }
  if (entry.released && entry.packetId === 0) throw wrongLine('released: only a message that was sent under a packet identifier is')
  line.done()
  return entry
}

function readState(line: LineFields): StateEntry {
  const key = line.text('key')
  const value = line.text('value')
  const expiresAt = line.numberOrNull('expiresAt', 0) ?? Number.POSITIVE_INFINITY
  line.done()
  return { key, value, expiresAt }
}

const origins = ['client', 'will', 'server', 'peer'] as const

function readMessage(line: LineFields): Message {
  const topic = line.text('topic')
  if (!isTopicName(topic)) throw wrongLine(`topic: ${JSON.stringify(topic)} is no topic name; it is not empty and has no wildcards`)
  const fields = {
    topic,
    qos: line.integer('qos', 0, 2) as QoS,
    retain: line.flag('retain'),
    origin: line.oneOf('origin', origins),
    clientId: line.text('clientId'),
    ...(line.has('username') ? { username: line.textOrNull('username') } : {}),
    receivedAt: line.integer('receivedAt', 0),
    ...(line.has('properties') ? { properties: readProperties(line.inner('properties')) } : {}),
    payload: line.bytes('payload'),
  }
  line.done()
  return new Message(fields)
}

function readProperties(line: LineFields): Properties {
  const properties: Properties = {}
  if (line.has('payloadFormat')) properties.payloadFormat = line.integer('payloadFormat', 0, 1)
  if (line.has('messageExpiry')) properties.messageExpiry = line.integer('messageExpiry', 0, 0xffff_ffff)
  if (line.has('contentType')) properties.contentType = line.text('contentType')
  if (line.has('responseTopic')) properties.responseTopic = line.text('responseTopic')
  if (line.has('correlationData')) {
    properties.correlationData = line.bytes('correlationData')
    if (properties.correlationData.length > 0xffff) throw wrongLine('correlationData: at most 65,535 bytes')
  }
  if (line.has('userProperties')) properties.userProperties = line.pairs('userProperties')
  line.done()
  return properties
}
