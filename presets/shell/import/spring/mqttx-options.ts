import { isRecord } from '../../../../plugins/kit/options/plain-data.ts'
import type { ImportSource } from '../imported.ts'
import { canonical } from './properties.ts'
import type { Translation } from './translation.ts'
import { anyText, boolean, choice, duration, integer, integerOrText, text } from './value.ts'

/** Translates the options `mqttx.…` of the Java mqttx, 1.0 to 1.2. */
export function translateMqttx(translation: Translation, source: ImportSource): void {
  translateBroker(translation)
  translateSsl(translation, source)
  translateListeners(translation)
  translateTopics(translation)
  translateAuth(translation)
  translateRateLimits(translation)
  for (const [name, reason] of Object.entries(notNeeded)) translation.leave(`mqttx.${name}`, reason)
}

function translateBroker(translation: Translation): void {
  translation.move('brokerId', integerOrText, 'mqttx.brokerId')
  translation.move('heartbeat', duration, 'mqttx.heartbeat')
  translation.move('host', text, 'mqttx.host')
  translation.move('soBacklog', integer, 'mqttx.soBacklog')
  translation.move('enableTestMode', boolean, 'mqttx.enableTestMode')
  translation.move('enableInnerCache', boolean, 'mqttx.enableInnerCache')
  translation.move('enableTopicSubPubSecure', boolean, 'mqttx.enableTopicSubPubSecure')
  translation.move('mqtt.maximumPacketSize', integer, 'mqttx.maxBytesInMessage')
}

function translateSsl(translation: Translation, source: ImportSource): void {
  const on = translation.converted(boolean, 'mqttx.ssl.enable') ?? false
  const location = translation.converted(text, 'mqttx.ssl.keyStoreLocation')
  const type = translation.take('mqttx.ssl.keyStoreType')
  if (location === undefined) {
    translation.leave('mqttx.ssl.keyStorePassword', on === false ? 'ssl is off' : 'it belongs to the keystore that mqttx brings along')
    if (on === false) return translation.leave('mqttx.ssl.clientAuth', 'ssl is off')
  }
  if (on !== true) {
    const property = translation.take('mqttx.ssl.enable')
    translation.put('ssl.enable', on, property ?? 'mqttx has this off where nothing is said.')
  }
  if (location === undefined) putOwnCertificate(translation)
  else putKeyStore(translation, source, location)
  if (/jks/i.test(String(type?.value))) {
    const cure = 'a keystore of Java is not read; keytool -importkeystore -deststoretype pkcs12 makes one that is'
    translation.leave('mqttx.ssl.keyStoreType', cure)
  }
  translation.move('ssl.clientAuth', choice(clientAuth), 'mqttx.ssl.clientAuth')
}

const clientAuth = { true: true, false: false, none: false, require: true, optional: 'optional' }

function putKeyStore(translation: Translation, source: ImportSource, location: unknown): void {
  const property = translation.take('mqttx.ssl.keyStoreLocation')!
  // The class path of a Java program begins where its application.yml is.
  const shown = typeof location === 'string' ? source.path(location.replace(/^(classpath\*?|file):\s*(\/\/)?/i, '')) : location
  translation.put('ssl.keyStoreLocation', shown, property)
  translation.move('ssl.keyStorePassword', anyText, 'mqttx.ssl.keyStorePassword')
}

// Everybody has the private key of the keystore that mqttx takes where none is named.
function putOwnCertificate(translation: Translation): void {
  const why = 'Name your own: mqttx would take the certificate that it brings along, whose private key everybody has.'
  translation.put('ssl.cert', 'tls/server.crt', why)
  translation.put('ssl.key', 'tls/server.key')
  translation.put('ssl.ca', 'tls/ca.crt')
  const cure = 'TLS needs a certificate: npx mqttx-broker init --tls makes one for testing, in tls/, or name yours as ssl.cert and ssl.key'
  translation.notes.push(cure)
}

function translateListeners(translation: Translation): void {
  translation.move('socket.port', integer, 'mqttx.socket.port')
  enable(translation, 'socket', 'on', 'mqttx.socket.enable')
  translation.move('websocket.port', integer, 'mqttx.websocket.port')
  translation.move('websocket.path', text, 'mqttx.websocket.path')
  enable(translation, 'websocket', 'absent', 'mqttx.websocket.enable')
  const websocket = translation.config.websocket as { enable?: unknown; path?: unknown } | undefined
  // mqttx has no other path, and ours serves `/` besides where nobody says which.
  if (websocket !== undefined && websocket.enable !== false && websocket.path === undefined)
    translation.put('websocket.path', '/mqtt', 'The one path of mqttx.')
}

function translateTopics(translation: Translation): void {
  const strategies = { round: 'round', random: 'random', hash: 'hash' }
  translation.move('shareTopic.shareSubStrategy', choice(strategies), 'mqttx.shareTopic.shareSubStrategy')
  enable(translation, 'shareTopic', 'on', 'mqttx.shareTopic.enable')
  translation.move('sysTopic.interval', duration, 'mqttx.sysTopic.interval')
  translation.move('sysTopic.qos', choice({ 0: 0, 1: 1, 2: 2 }), 'mqttx.sysTopic.qos')
  enable(translation, 'sysTopic', 'off', 'mqttx.sysTopic.enable')
  translation.moveList('messageBridge.topics', 'mqttx.messageBridge.topics', 'mqttx.messageBridge.bridgeTopics', 'mqttx.bridgeTopics')
  enable(translation, 'messageBridge', 'absent', 'mqttx.messageBridge.enable')
  const consistency = ['mqttx.cluster.innerCacheConsistencyKey', 'mqttx.cluster.innerCacheConsistancyKey']
  translation.move('cluster.innerCacheConsistencyKey', text, ...consistency)
  enable(translation, 'cluster', 'absent', 'mqttx.cluster.enable')
  const type = translation.converted(text, 'mqttx.cluster.type')
  if (type !== undefined && type !== 'redis')
    translation.leave('mqttx.cluster.type', 'nodes speak with each other over Redis only; see docs/clustering.md')
}

/**
 * Turns a section on or off as mqttx has it. `usual`: where mqttx says nothing it is on, or off though our preset has it on (`off`), or off, and our preset has no such section
 * either (`absent`).
 */
function enable(translation: Translation, section: string, usual: 'on' | 'off' | 'absent', name: string): void {
  const value = translation.converted(boolean, name)
  const property = translation.take(name)
  // A section turns its plugin on by being there.
  const isThere = translation.config[section] !== undefined
  if (value === true) {
    if (!isThere) translation.put(section, {}, property)
  } else if (value !== undefined) {
    translation.put(`${section}.enable`, value, property)
  } else if (usual === 'off' || (usual === 'absent' && isThere)) {
    translation.put(`${section}.enable`, false, 'mqttx has this off where nothing is said.')
  }
}

function translateAuth(translation: Translation): void {
  const mandatory = translation.converted(boolean, 'mqttx.auth.isMandatory', 'mqttx.auth.mandatory')
  translation.move('authHttp.url', anyText, 'mqttx.auth.url')
  if (translation.config.authHttp === undefined) {
    const reason = 'there is no mqttx.auth.url to ask; name authHttp, authFile or another plugin that authenticates'
    for (const name of ['timeout', 'readTimeout', ...(mandatory === true ? ['isMandatory'] : [])])
      translation.leave(`mqttx.auth.${name}`, reason)
    return
  }
  translation.move('authHttp.timeout', duration, 'mqttx.auth.timeout', 'mqttx.auth.readTimeout')
  if (mandatory === false)
    translation.notes.push('authHttp asks about every client: mqttx.auth.isMandatory was false, with which mqttx asks about none')
  if (mandatory !== undefined && typeof mandatory !== 'boolean')
    translation.leave('mqttx.auth.isMandatory', 'authHttp asks about every client; leave the section out where none is to be asked about')
}

function translateRateLimits(translation: Translation): void {
  const on = translation.converted(boolean, 'mqttx.rateLimiter.enable') ?? false
  const property = translation.take('mqttx.rateLimiter.topicRateLimits')
  if (property === undefined) return
  if (on !== true) {
    translation.leave(
      'mqttx.rateLimiter.topicRateLimits',
      on === false ? 'the rate limiter is off' : 'whether it is on depends on a variable; write limits.topicRates by hand',
    )
    return
  }
  const rates = Array.isArray(property.value) ? property.value.map(topicRate) : []
  if (rates.length === 0 || rates.includes(undefined)) {
    translation.leave(
      'mqttx.rateLimiter.topicRateLimits',
      'topic, capacity and replenish-rate are expected, with plain numbers; write limits.topicRates by hand',
    )
    return
  }
  translation.put('limits.topicRates', rates, property)
}

function topicRate(given: unknown): object | undefined {
  if (!isRecord(given)) return undefined
  const byName = new Map(Object.entries(given).map(([name, value]) => [canonical(name), value]))
  const topic = byName.get('topic')
  const [capacity, rate, tokens] = ['capacity', 'replenishrate', 'tokenconsumedperacquire'].map(name => Number(byName.get(name) ?? 1))
  if (typeof topic !== 'string' || topic.includes('${') || !(capacity! > 0) || !(rate! > 0) || !(tokens! > 0)) return undefined
  // It drops what is too much; a message takes so many of the bucket's tokens.
  return {
    filter: topic,
    messagesPerSecond: Math.max(0.01, Math.round((rate! / tokens!) * 100) / 100),
    messageBurst: Math.max(1, Math.floor(capacity! / tokens!)),
    overRate: 'drop',
  }
}

const ownFormat = 'what is kept in Redis has its own format here'

const notNeeded: Readonly<Record<string, string>> = {
  version: "the package's own version counts, in $SYS and by --version",
  serializeStrategy: ownFormat,
  'redis.messageIdPrefix': ownFormat,
  'redis.clientTopicSetPrefix': ownFormat,
  'redis.msgPayLoadKey': ownFormat,
  'redis.msgPayLoadClientsSetKey': ownFormat,
  'sharablePayload.payloadKeyPrefix': `${ownFormat}; a body that several clients wait for is kept once, at redis.bodyPrefix`,
  'sharablePayload.uniqueIdClientIdsSetPrefix': ownFormat,
  'sharablePayload.cleanWorkInterval': `${ownFormat}; redis.sweepInterval looks for what a crash has left`,
  'sharablePayload.thresholdInMessage': `${ownFormat}; a body that several clients wait for is kept once`,
  ignoreClientSelfPub: 'a client gets what it publishes itself, where it has subscribed to it, as MQTT has it; MQTT 5 clients say No Local',
  httpClientConnectTimeout: 'authHttp.timeout holds for the connection, too',
  'auth.connectTimeout': 'authHttp.timeout holds for the connection, too',
}
