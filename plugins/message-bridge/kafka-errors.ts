import { OperatorError } from '../../core/errors.ts'
import { RecordsRefusedError, TargetAwayError } from '../kit/services/bridge-target.ts'

/** What kafkajs knows of an error, as far as it is looked at. */
export interface KafkaError extends Error {
  /** Kafka's own name of the error: `MESSAGE_TOO_LARGE`. */
  readonly type?: string
  readonly code?: string | number
}

/**
 * The error that everything began with. Those on top say little: kafkajs wraps a refused connection as "not retriable", because it has retried itself, so
 * only the root tells an outage from a mistake.
 */
export function rootOf(error: unknown): KafkaError {
  let root = error as KafkaError
  for (let depth = 0; depth < 10; depth++) {
    const { cause } = root as { cause?: unknown }
    if (!(cause instanceof Error)) break
    root = cause
  }
  return root
}

/**
 * What an error says:
 *
 * - `record`: Kafka will never take one of the records; it does not say which.
 * - `topic`: Kafka takes nothing for one of the topics, whatever it is.
 * - `partly`: a topic or partition cannot be written to just now.
 * - `away`: Kafka cannot be reached, or nobody can work with it as the config has it.
 * - `renew`: the producer and Kafka no longer agree; a new producer gets a new number.
 * - `unknown`: it says nothing of what is to blame.
 */
export type KafkaVerdict = 'record' | 'topic' | 'partly' | 'away' | 'renew' | 'unknown'

type Row = readonly [KafkaVerdict, string?]

const noLeader = 'a topic has no leader just now; it is asked again'
const fewReplicas = "too few replicas are in sync for the topic's min.insync.replicas; start the others"
const strayed = 'Kafka and the producer no longer agree on what was sent; a new producer goes on'
const noSuchUse = 'an answer to something that the bridge never asks'

/** Each error that Kafka can answer with, by its name, as docs/guarantees.md has it: the one place that says what it means for the bridge. */
export const kafkaErrors: Readonly<Record<string, Row>> = {
  MESSAGE_TOO_LARGE: ['record', "it is larger than the topic's max.message.bytes allows; raise that, or bridge smaller messages"],
  RECORD_LIST_TOO_LARGE: ['record', "it is larger than the topic's segments; raise segment.bytes, or bridge smaller messages"],
  INVALID_RECORD: ['record', 'Kafka calls it invalid: a compacted topic wants a key, for example'],
  INVALID_TIMESTAMP: ['record', "its time is outside of what the topic's message.timestamp settings allow; see to the clocks"],
  POLICY_VIOLATION: ['record', "it breaks a policy of Kafka's; look at its log"],

  INVALID_TOPIC_EXCEPTION: [
    'topic',
    'Kafka does not take the name of the topic, which may differ from another only by . and _; choose another with messageBridge.topics[].to',
  ],
  TOPIC_AUTHORIZATION_FAILED: [
    'topic',
    'the user of messageBridge.sasl may not write to the topic; give it WRITE and DESCRIBE in Kafka, and CREATE where createTopics is set',
  ],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [
    'topic',
    'the topic keeps messages in an old format, which knows no headers; set messageBridge.topics[].headers: false',
  ],
  UNSUPPORTED_COMPRESSION_TYPE: ['topic', 'the topic knows no such compression; set messageBridge.compression to another'],
  INVALID_PARTITIONS: ['topic', "the topic cannot be made with Kafka's num.partitions; make it yourself"],
  INVALID_REPLICATION_FACTOR: [
    'topic',
    "the topic cannot be made with Kafka's default.replication.factor; start more of its brokers, or make it yourself",
  ],
  INVALID_REPLICA_ASSIGNMENT: ['topic', 'the topic cannot be made as Kafka would place it; make it yourself'],
  INVALID_CONFIG: ['topic', "the topic cannot be made with Kafka's own settings; look at its log"],

  UNKNOWN_TOPIC_OR_PARTITION: ['partly', noLeader],
  UNKNOWN_TOPIC_ID: ['partly', noLeader],
  INCONSISTENT_TOPIC_ID: ['partly', noLeader],
  LEADER_NOT_AVAILABLE: ['partly', noLeader],
  NOT_LEADER_FOR_PARTITION: ['partly', noLeader],
  REPLICA_NOT_AVAILABLE: ['partly', noLeader],
  FENCED_LEADER_EPOCH: ['partly', noLeader],
  UNKNOWN_LEADER_EPOCH: ['partly', noLeader],
  LISTENER_NOT_FOUND: [
    'partly',
    "the topic's leader cannot be reached by the listener that messageBridge.brokers name; see to its advertised.listeners",
  ],
  PREFERRED_LEADER_NOT_AVAILABLE: ['partly', noLeader],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: ['partly', noLeader],
  NOT_ENOUGH_REPLICAS: ['partly', fewReplicas],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: ['partly', fewReplicas],
  REQUEST_TIMED_OUT: ['partly', "the topic's replicas do not answer in time; see to them"],
  KAFKA_STORAGE_ERROR: ['partly', "the disk of the topic's leader fails; see to it"],
  LOG_DIR_NOT_FOUND: ['partly', "the disk of the topic's leader fails; see to it"],
  OPERATION_NOT_ATTEMPTED: ['partly', 'Kafka has left this out because something else failed; it is asked again'],
  REASSIGNMENT_IN_PROGRESS: ['partly', 'the topic is being moved; it is asked again'],

  BROKER_NOT_AVAILABLE: ['away', 'a broker of Kafka is away; it is asked again'],
  NETWORK_EXCEPTION: ['away', 'Kafka closes the connection; it is asked again'],
  NOT_CONTROLLER: ['away', 'Kafka has no controller just now; it is asked again'],
  STALE_CONTROLLER_EPOCH: ['away', 'Kafka has no controller just now; it is asked again'],
  STALE_BROKER_EPOCH: ['away', 'a broker of Kafka has just started; it is asked again'],
  THROTTLING_QUOTA_EXCEEDED: ['away', "Kafka's quota for this client is used up; raise it, or bridge less"],
  UNSUPPORTED_VERSION: ['away', 'it is of a version that kafkajs does not speak; take a newer Kafka, or an older one'],
  INVALID_REQUIRED_ACKS: ['away', 'it does not take these acks; correct messageBridge.acks'],
  UNSUPPORTED_SASL_MECHANISM: ['away', 'it does not know this way of logging in; correct messageBridge.sasl.mechanism'],
  ILLEGAL_SASL_STATE: ['away', 'this port wants no login; leave messageBridge.sasl out, or name the port that does'],
  SASL_AUTHENTICATION_FAILED: ['away', 'it refuses the login; correct messageBridge.sasl'],
  PRINCIPAL_DESERIALIZATION_FAILURE: ['away', 'it refuses the login; look at its log'],
  SECURITY_DISABLED: ['away', 'it knows no rights, and somebody asks for them; look at its log'],
  CLUSTER_AUTHORIZATION_FAILED: [
    'away',
    'the user may not send idempotently; give it IDEMPOTENT_WRITE on the cluster in Kafka, or set messageBridge.idempotent: false',
  ],

  OUT_OF_ORDER_SEQUENCE_NUMBER: ['renew', strayed],
  DUPLICATE_SEQUENCE_NUMBER: ['renew', strayed],
  UNKNOWN_PRODUCER_ID: ['renew', strayed],
  INVALID_PRODUCER_EPOCH: ['renew', strayed],
  INVALID_PRODUCER_ID_MAPPING: ['renew', strayed],
  PRODUCER_FENCED: ['renew', strayed],

  UNKNOWN: ['unknown', 'Kafka has failed in a way that it did not expect; look at its log'],
  CORRUPT_MESSAGE: ['unknown', 'it came to Kafka damaged, or the topic is compacted and wants a key'],
  INVALID_REQUEST: ['unknown', 'Kafka does not understand it; look at its log'],
  // It is there after all.
  TOPIC_ALREADY_EXISTS: ['unknown', 'somebody else has just made the topic'],
}

// Kafka's answers to consumers, transactions, reassignments, tokens and so on: nothing that the bridge asks for.
const neverAsked: ReadonlySet<string> = new Set(
  `OFFSET_OUT_OF_RANGE INVALID_FETCH_SIZE OFFSET_METADATA_TOO_LARGE GROUP_LOAD_IN_PROGRESS GROUP_COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR_FOR_GROUP
  ILLEGAL_GENERATION INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID UNKNOWN_MEMBER_ID INVALID_SESSION_TIMEOUT REBALANCE_IN_PROGRESS INVALID_COMMIT_OFFSET_SIZE
  GROUP_AUTHORIZATION_FAILED INVALID_TXN_STATE INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS TRANSACTION_COORDINATOR_FENCED
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_AUTHORIZATION_FAILED DELEGATION_TOKEN_EXPIRED INVALID_PRINCIPAL_TYPE NON_EMPTY_GROUP
  GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH TOPIC_DELETION_DISABLED OFFSET_NOT_AVAILABLE MEMBER_ID_REQUIRED
  GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS GROUP_SUBSCRIBED_TO_TOPIC UNSTABLE_OFFSET_COMMIT`.split(
    /\s+/,
  ),
)

// Kafka's names for numbers that kafkajs does not know, of those that may come in answer to what the bridge asks.
const newerNames: Readonly<Record<string, string>> = {
  89: 'THROTTLING_QUOTA_EXCEEDED',
  90: 'PRODUCER_FENCED',
  97: 'PRINCIPAL_DESERIALIZATION_FAILURE',
  100: 'UNKNOWN_TOPIC_ID',
  103: 'INCONSISTENT_TOPIC_ID',
}

// What kafkajs itself says, by its names of errors.
const kafkajsErrors: Readonly<Record<string, KafkaVerdict>> = {
  KafkaJSConnectionError: 'away',
  KafkaJSConnectionClosedError: 'away',
  KafkaJSRequestTimeoutError: 'away',
  KafkaJSNoBrokerAvailableError: 'away',
  KafkaJSBrokerNotFound: 'away',
  KafkaJSSASLAuthenticationError: 'away',
  KafkaJSServerDoesNotSupportApiKey: 'away',
  KafkaJSNotImplemented: 'away',
  KafkaJSLockTimeout: 'away',
  KafkaJSTimeout: 'partly',
  KafkaJSMetadataNotLoaded: 'partly',
  KafkaJSTopicMetadataNotLoaded: 'partly',
  KafkaJSStaleTopicMetadataAssignment: 'partly',
}

/** Kafka's own name of an error; undefined for one that is not Kafka's. */
export function typeOf({ type, message }: KafkaError): string | undefined {
  if (type !== 'KAFKAJS_UNKNOWN_ERROR_CODE') return type
  const number = /\d+/.exec(message)?.[0] ?? ''
  return Object.hasOwn(newerNames, number) ? newerNames[number] : type
}

/** What an error says. Whatever is neither Kafka's nor kafkajs's nor the network's is `unknown`. */
export function verdictOf(error: KafkaError): KafkaVerdict {
  if (error instanceof OperatorError) return 'away'
  const type = typeOf(error)
  if (type !== undefined) return Object.hasOwn(kafkaErrors, type) ? kafkaErrors[type]![0] : 'unknown'
  if (Object.hasOwn(kafkajsErrors, error.name)) return kafkajsErrors[error.name]!
  const { code, message } = error
  // The system's own errors, and OpenSSL's.
  if (typeof code === 'string' && /^(E[A-Z_]+|ERR_(SSL|TLS|OSSL)_\w+|CERT_\w+|\w+_(CERT|CERTIFICATE|SIGNATURE)\w*)$/.test(code)) {
    return code.startsWith('ERR_INVALID') ? 'unknown' : 'away'
  }
  if (message === 'Invalid partition metadata') return 'partly'
  return /not Kafka: |The producer is disconnect|Broker not connected|Connection (error|timeout)|Closed connection/.test(message)
    ? 'away'
    : 'unknown'
}

/** Whether every error that kafkajs knows by this name has its place: in the table, or among those that nobody asks for. */
export function isSorted(type: string): boolean {
  return Object.hasOwn(kafkaErrors, type) || neverAsked.has(type)
}

/** An error as a bridge's lane takes it. `partly` and `away` are outages, `record` and `topic` refusals, anything else is for the lane to find out. */
export function judged(root: KafkaError): Error {
  if (root instanceof OperatorError) return new TargetAwayError(root.message, { cause: root })
  const verdict = verdictOf(root)
  switch (verdict) {
    case 'record':
    case 'topic':
      return new RecordsRefusedError([], reasonOf(root), { cause: root, reason: typeOf(root) ?? 'REFUSED' })
    case 'partly':
    case 'away':
    case 'renew':
      return new TargetAwayError(explain(root), { cause: root, partly: verdict === 'partly' })
    case 'unknown':
      return new Error(explain(root), { cause: root })
  }
}

/** Why Kafka does not take something, with its cure. */
export function reasonOf(root: KafkaError): string {
  const type = typeOf(root)
  return (type === undefined || !Object.hasOwn(kafkaErrors, type) ? undefined : kafkaErrors[type]![1]) ?? root.message
}

/** What stands in the way of Kafka, with its cure. */
export function explain(error: KafkaError): string {
  const { name, message } = error
  if (name === 'KafkaJSSASLAuthenticationError') return `it refuses the login (${message}); correct messageBridge.sasl`
  const type = typeOf(error)
  if (type !== undefined) return neverAsked.has(type) ? `${type}: ${noSuchUse} (${message})` : `${reasonOf(error)} (${type})`
  if (message.includes('not Kafka: ')) {
    return `what answers there does not speak Kafka (${message}): this port may want TLS (messageBridge.ssl); if not, correct messageBridge.brokers`
  }
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/.test(message)) {
    return `nothing answers there (${message}); start Kafka, or correct messageBridge.brokers`
  }
  if (/certificate|self-signed|handshake|SSL|TLS|ssl3|wrong version number/i.test(message))
    return `TLS fails (${message}); correct messageBridge.ssl`
  if (name === 'KafkaJSConnectionClosedError' || /Closed connection|ECONNRESET/.test(message)) {
    return 'it closes the connection at once: this port may want TLS (messageBridge.ssl) or a login (messageBridge.sasl), or it is stopping'
  }
  if (/timed out|timeout/i.test(message)) return `it does not answer in time (${message})`
  return message
}
