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

const refusals: Readonly<Record<string, string>> = {
  MESSAGE_TOO_LARGE: "it is larger than the topic's max.message.bytes allows; raise that, or bridge smaller messages",
  RECORD_LIST_TOO_LARGE: "it is larger than the topic's segments; raise segment.bytes, or bridge smaller messages",
  INVALID_RECORD: 'Kafka calls it invalid: a compacted topic wants a key, for example',
  INVALID_TIMESTAMP: "its time is outside of what the topic's message.timestamp settings allow; see to the clocks",
  INVALID_TOPIC_EXCEPTION: 'Kafka does not take the name of the topic; choose another',
  TOPIC_AUTHORIZATION_FAILED: 'the user of messageBridge.sasl may not write to the topic; give it WRITE and DESCRIBE in Kafka',
  UNSUPPORTED_FOR_MESSAGE_FORMAT:
    'the topic keeps messages in an old format, which knows no headers; set messageBridge.topics[].headers: false',
  POLICY_VIOLATION: "it breaks a policy of Kafka's; look at its log",
}

/** Why Kafka will never take a record; undefined where the error says nothing of the kind. */
export function refusalOf({ type }: KafkaError): string | undefined {
  return type === undefined ? undefined : refusals[type]
}

// What the producer and Kafka no longer agree on: a new producer gets a new number.
const strayed = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'PRODUCER_FENCED',
])

/** Whether a producer has to be replaced before anything is sent again. */
export function needsNewProducer({ type }: KafkaError): boolean {
  return type !== undefined && strayed.has(type)
}

/** What stands in the way of Kafka, with its cure. */
export function explain(error: KafkaError): string {
  const { name, type, message } = error
  if (name === 'KafkaJSSASLAuthenticationError') return `it refuses the login (${message}); correct messageBridge.sasl`

  switch (type) {
    case 'UNSUPPORTED_SASL_MECHANISM':
      return 'it does not know this way of logging in; correct messageBridge.sasl.mechanism'
    case 'ILLEGAL_SASL_STATE':
      return 'this port wants no login; leave messageBridge.sasl out, or name the port that does'
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return 'the user may not send idempotently; give it IDEMPOTENT_WRITE on the cluster in Kafka, or set messageBridge.idempotent: false'
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'LEADER_NOT_AVAILABLE':
    case 'NOT_LEADER_FOR_PARTITION':
      return 'a topic has no leader just now; it is asked again'
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
      return "too few replicas are in sync for the topic's min.insync.replicas; start the others"
  }
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
