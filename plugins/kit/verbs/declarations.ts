import type { VerbDeclaration } from './define-verb.ts'
import { pageOptions } from './page.ts'

// What every broker can be asked, whatever plugins it has. Nothing here imports an implementation: the command line reads it for its help, too.

const id = { type: 'string', minLength: 1, required: true } as const
const topic = { type: 'string', minLength: 1, required: true } as const
const text = { type: 'string', minLength: 1, default: null } as const

export const verbsVerb = {
  name: 'verbs',
  help: 'what this broker can be asked and told, plugins of your own included',
  example: 'verbs',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

export const openapiVerb = {
  name: 'openapi',
  help: 'all verbs as routes, as an OpenAPI document; --json prints it',
  example: 'openapi --json',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

export const statusVerb = {
  name: 'status',
  help: 'how this node is, its workers together, and what is wrong',
  example: 'status',
  role: 'read',
  yes: 'serving',
  everywhere: true,
  ownWorkersOnly: true,
  takes: {},
} as const satisfies VerbDeclaration

export const alarmsVerb = {
  name: 'alarms',
  help: 'what is wrong, and since when',
  example: 'alarms',
  role: 'read',
  everywhere: true,
  takes: {},
} as const satisfies VerbDeclaration

export const nodesVerb = {
  name: 'nodes',
  help: 'the nodes of the cluster that live',
  example: 'nodes',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

export const clientsVerb = {
  name: 'clients',
  help: 'the connected clients',
  example: 'clients --address 10.0.0.0/8 --slow',
  role: 'read',
  everywhere: true,
  takes: {
    /** Of this user only. */
    user: text,
    /** From this address, or this network: `10.0.0.0/8`. */
    address: text,
    /** Whose client id has this in it. */
    match: text,
    /** By `tcp`, `tls`, `ws`, `wss`. */
    protocol: text,
    /** For whom more waits than they take. */
    slow: { type: 'boolean', default: false },
    /** For whom so many messages wait. */
    queued: { type: 'integer', minimum: 0, default: null },
    /** What the rows are sorted by; numbers from the highest down. */
    sort: { type: 'string', enum: ['id', 'user', 'address', 'connectedAt', 'queued', 'inflight', 'unwritten', 'held'], default: 'id' },
    ...pageOptions,
  },
} as const satisfies VerbDeclaration

export const clientVerb = {
  name: 'client',
  help: 'one client whole: connection, session, subscriptions, drops',
  example: 'client meter-7',
  role: 'read',
  yes: 'connected',
  everywhere: true,
  takes: { id },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const sessionsVerb = {
  name: 'sessions',
  help: 'the sessions that outlive their connections',
  example: 'sessions --disconnected --queued 1000',
  role: 'read',
  takes: {
    /** Of this user only. */
    user: text,
    /** Without a connection only. */
    disconnected: { type: 'boolean', default: false },
    /** In which so many messages wait. */
    queued: { type: 'integer', minimum: 0, default: null },
    /** Whose client id has this in it. */
    match: text,
    ...pageOptions,
  },
} as const satisfies VerbDeclaration

export const queueVerb = {
  name: 'queue',
  help: 'what waits for a session, and how old it is',
  example: 'queue meter-7 --peek 10',
  role: 'read',
  everywhere: true,
  takes: {
    id,
    /** So many of the first messages, without their payloads. */
    peek: { type: 'integer', minimum: 0, maximum: 200, default: 0 },
  },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const queueClearVerb = {
  name: 'queue clear',
  help: 'take out what waits for a session; what is on its way to its client stays, and so does the session',
  example: 'queue clear meter-7',
  // What is taken out was acknowledged to its publishers, and is gone.
  role: 'admin',
  yes: 'known',
  changes: true,
  everywhere: true,
  takes: { id },
  positional: ['id'],
} as const satisfies VerbDeclaration

export const subscribeVerb = {
  name: 'subscribe',
  help: 'subscribe a client to a topic filter as if it had asked for it: rights and plugins are asked, its session keeps it; one that is away finds it when it comes',
  example: "subscribe meter-7 'plant/+/set' --qos 1",
  role: 'operate',
  yes: 'granted',
  changes: true,
  everywhere: true,
  takes: {
    id,
    filter: { type: 'string', minLength: 1, required: true },
    qos: { type: 'integer', minimum: 0, maximum: 2, default: 0 },
  },
  positional: ['id', 'filter'],
} as const satisfies VerbDeclaration

export const unsubscribeVerb = {
  name: 'unsubscribe',
  help: 'take a subscription from a client as if it had asked for it, or from its stored session',
  example: "unsubscribe meter-7 'plant/+/set'",
  role: 'operate',
  yes: 'removed',
  changes: true,
  everywhere: true,
  takes: { id, filter: { type: 'string', minLength: 1, required: true } },
  positional: ['id', 'filter'],
} as const satisfies VerbDeclaration

export const subscribersVerb = {
  name: 'subscribers',
  help: 'who gets what is published to a topic',
  example: 'subscribers plant/7/temperature',
  role: 'read',
  everywhere: true,
  takes: { topic, ...pageOptions },
  positional: ['topic'],
} as const satisfies VerbDeclaration

export const subscriptionsVerb = {
  name: 'subscriptions',
  help: 'the subscriptions of all sessions, by their topic filters',
  example: 'subscriptions --match plant/',
  role: 'read',
  everywhere: true,
  takes: {
    /** Whose topic filter has this in it. */
    match: text,
    /** Of this client only. */
    id: text,
    ...pageOptions,
  },
} as const satisfies VerbDeclaration

export const publishersVerb = {
  name: 'publishers',
  help: 'which connected clients may publish to a topic',
  example: 'publishers plant/7/temperature',
  role: 'read',
  everywhere: true,
  takes: { topic, ...pageOptions },
  positional: ['topic'],
} as const satisfies VerbDeclaration

export const whyVerb = {
  name: 'why',
  help: 'why a client may not publish or subscribe, or gets nothing; nothing is sent and nothing changed to find out',
  example: 'why meter-7 receive plant/7/set',
  role: 'read',
  yes: 'yes',
  everywhere: true,
  takes: {
    id,
    action: { type: 'string', enum: ['publish', 'subscribe', 'receive'], required: true },
    topic,
  },
  positional: ['id', 'action', 'topic'],
} as const satisfies VerbDeclaration

export const topVerb = {
  name: 'top',
  help: 'the clients with most bytes unwritten, messages queued, bytes held, or publishes unanswered',
  example: 'top queued',
  role: 'read',
  everywhere: true,
  takes: {
    by: { type: 'string', enum: ['unwritten', 'queued', 'held', 'unanswered'], default: 'unwritten' },
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 20 },
  },
  positional: ['by'],
} as const satisfies VerbDeclaration

export const memoryVerb = {
  name: 'memory',
  help: 'what fills the memory of this node, its workers together',
  example: 'memory',
  role: 'read',
  everywhere: true,
  ownWorkersOnly: true,
  takes: { limit: { type: 'integer', minimum: 1, maximum: 200, default: 10 } },
} as const satisfies VerbDeclaration

export const retainedVerb = {
  name: 'retained',
  help: 'the retained messages under a topic filter',
  example: "retained 'plant/#'",
  role: 'read',
  takes: {
    filter: { type: 'string', minLength: 1, default: '#' },
    limit: { type: 'integer', minimum: 1, maximum: 200, default: 100 },
  },
  positional: ['filter'],
} as const satisfies VerbDeclaration

export const retainTreeVerb = {
  name: 'retained tree',
  help: 'the tree that the topics of retained messages make, a level at a time',
  example: 'retained tree plant',
  role: 'read',
  takes: {
    /** The topic whose next level is shown; empty: the first level. */
    prefix: { type: 'string', default: '' },
  },
  positional: ['prefix'],
} as const satisfies VerbDeclaration

export const retainRemoveVerb = {
  name: 'retained rm',
  help: 'take a retained message away',
  example: 'retained rm plant/7/temperature',
  role: 'operate',
  yes: 'removed',
  changes: true,
  takes: { topic },
  positional: ['topic'],
} as const satisfies VerbDeclaration

export const publishVerb = {
  name: 'publish',
  help: "publish a message in the broker's own name",
  example: 'publish plant/7/set 21 --qos 1',
  role: 'operate',
  changes: true,
  takes: {
    topic,
    payload: { type: 'string', default: '' },
    qos: { type: 'integer', minimum: 0, maximum: 2, default: 0 },
    retain: { type: 'boolean', default: false },
  },
  positional: ['topic', 'payload'],
} as const satisfies VerbDeclaration

export const kickVerb = {
  name: 'kick',
  help: 'send a client away, or all of a user; sessions stay',
  example: 'kick meter-7',
  role: 'operate',
  yes: 'count',
  changes: true,
  everywhere: true,
  takes: { id: text, user: text },
  positional: ['id'],
} as const satisfies VerbDeclaration
