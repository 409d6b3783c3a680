import type { Block, Conf } from './conf.ts'
import type { ConfLine } from './conf-lines.ts'
import type { Translation } from './translation.ts'

// What MQTT itself allows: mosquitto sets no limit unless it is told to.
const packetBytesMax = 268_435_460
// Where mosquitto counts without end: more than any memory holds.
const withoutEnd = 1_000_000_000

const days: Readonly<Record<string, number>> = { h: 1 / 24, d: 1, w: 7, m: 30, y: 365 }

/** What is said of the whole broker: its limits, what it keeps, $SYS. */
export function translateBroker({ broker }: Conf, translation: Translation): void {
  limits(broker, translation)
  choices(broker, translation)
  kept(broker, translation)
  const interval = broker.integer('sys_interval') ?? 10
  if (interval === 0) translation.set('sysTopic', false)
  else translation.set('sysTopic', { interval: `${interval}s` })
  for (const [name, reason] of Object.entries(left)) for (const line of broker.all(name)) translation.leave(line, reason)
}

function limits(broker: Block, translation: Translation): void {
  const inflight = broker.integer('max_inflight_messages') ?? 20
  const window = inflight === 0 || inflight > 65_535 ? 65_535 : inflight
  translation.set('mqtt.inflightMax', window)
  translation.set(
    'mqtt.receiveMaximum',
    window,
    "mosquitto has one number for both directions, 20 where nothing is said; this broker's own is 1000.",
  )
  const queued = broker.integer('max_queued_messages') ?? 1000
  translation.set('mqtt.queueMessagesMax', queued <= 0 ? withoutEnd : queued, "This broker's own is 100000.")
  const queuedBytes = broker.integer('max_queued_bytes') ?? 0
  if (queuedBytes > 0) translation.set('mqtt.queueBytesMax', queuedBytes)
  const packet = broker.integer('max_packet_size') ?? 0
  const reason = "mosquitto sets no limit to packets; this broker's own is 2MiB: leave this line out where your messages are smaller."
  translation.set('mqtt.maximumPacketSize', packet > 0 ? packet : packetBytesMax, packet > 0 ? undefined : reason)
  const payload = broker.integer('message_size_limit') ?? 0
  if (payload > 0) translation.set('limits.maxPayload', payload)
  const keepAlive = broker.line('max_keepalive')
  if (keepAlive !== undefined)
    translation.set('limits.maxKeepAlive', `${keepAlive.value}s`, 'Holds for clients of MQTT 3.1 and 3.1.1 too, which cannot be told so.')
  const memory = broker.integer('memory_limit') ?? 0
  if (memory > 0)
    translation.set(
      'limits.memory',
      { max: memory },
      'Near this clients are refused, publishers slowed, QoS 0 messages dropped, in this order.',
    )
  translation.leave(broker.line('max_inflight_bytes'), 'messages in flight are counted, not their bytes: mqtt.inflightMax')
}

function choices(broker: Block, translation: Translation): void {
  translation.set('mqtt.overTopicMax', 'disconnect')
  translation.set('mqtt.bridgeStates', true, 'Bridges of mosquitto say by $SYS/broker/connection/NAME/state whether they are connected.')
  translation.set('mqtt.topicLevelsMax', 201, "This broker's own is 128.")
  translation.set(
    'mqtt.tellUnmatched',
    'puback',
    'As mosquitto does; leave this out, and publishers are told of QoS 2, too, that nobody has subscribed.',
  )
  translation.set(
    'mqtt.tellFaults',
    'requests',
    'As mosquitto does; leave this out, and MQTT 5 clients are always told why they are disconnected.',
  )
  // Texts beside reason codes, and topic aliases towards clients, mosquitto does not have: whoever compares bytes sees the same answers.
  translation.set(
    'mqtt.reasonStrings',
    false,
    'mosquitto tells clients codes only. Leave this out, and MQTT 5 clients are told why in words.',
  )
  translation.set(
    'mqtt.topicAliasOutMax',
    0,
    'mosquitto uses no topic aliases towards clients. Leave this out, and long topic names are sent once.',
  )
  if (broker.flag('queue_qos0_messages') === true) translation.set('mqtt.queueQoS0', true)
  if (broker.flag('retain_available') === false) translation.set('retain', false)
  const prefix = broker.text('clientid_prefixes')
  if (prefix !== undefined) translation.set('mqtt.clientIds', [`${prefix}#`])
  const expiration = broker.line('persistent_client_expiration')
  if (expiration !== undefined) translation.set('mqtt.sessionExpiryMax', durationOf(expiration, translation))
  const upgrade = broker.line('upgrade_outgoing_qos')
  if (broker.flag('upgrade_outgoing_qos') === true)
    translation.leave(upgrade, 'MQTT says that a message is never delivered above the QoS that it was published with')
  const duplicates = broker.line('allow_duplicate_messages')
  if (broker.flag('allow_duplicate_messages') === true)
    translation.leave(duplicates, 'a client whose subscriptions overlap gets a message once, at the highest QoS of them')
}

function durationOf(line: ConfLine, translation: Translation): string | null {
  const [, count = '', unit = ''] = /^(\d+)([hdwmy])$/.exec(line.value) ?? []
  if (count === '') {
    translation.leave(line, 'a number and one of h, d, w, m, y is expected, as in 14d')
    return null
  }
  const hours = Math.round(Number(count) * days[unit]! * 24)
  return hours % 24 === 0 ? `${hours / 24}d` : `${hours}h`
}

/** The folder that takes the place of mosquitto's database: beside it, with a name of its own. */
export function keptIn(broker: Block): string {
  const [location, file] = [broker.text('persistence_location') ?? '.', broker.text('persistence_file') ?? 'mosquitto.db']
  return `${location.replace(/\/$/, '')}/${file.replace(/\.[^./]*$/, '')}-mqttx`
}

function kept(broker: Block, translation: Translation): void {
  for (const name of ['autosave_interval', 'autosave_on_changes', 'retained_persistence']) broker.all(name)
  if (broker.flag('persistence') === true) {
    const comment = `Beside ${broker.text('persistence_file') ?? 'mosquitto.db'}, which is not read: clients come with new sessions, and retained messages have to be published once more. Each write is on disk before it is acknowledged.`
    translation.set('disk', { path: translation.path(keptIn(broker)) }, comment)
  } else {
    translation.set('memory', true, 'As with persistence false: sessions and retained messages last as long as the process.')
  }
}

/** Options of the whole broker that have no counterpart. */
const left: Readonly<Record<string, string>> = {
  pid_file: 'there is no such file; a service manager knows the process, and npx mqttx-broker status says its id',
  user: 'the broker stays the user that starts it: start it as that user (User= of systemd), or in a container',
  retry_interval: 'mosquitto does not look at it either',
  websockets_log_level: 'the log has one level: log.level',
  websockets_headers_size: 'headers may have 16 KiB, as everywhere in Node',
}
