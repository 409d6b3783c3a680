import { hostname } from 'node:os'
import { OperatorError } from '../../../../core/errors.ts'
import { keptIn } from './broker.ts'
import type { Bridge, Conf } from './conf.ts'
import { type ConfLine, placeOf } from './conf-lines.ts'
import type { Translation } from './translation.ts'

const versions: Readonly<Record<string, string>> = { mqttv31: '3.1', mqttv311: '3.1.1', mqttv50: '5' }

/** Bridges become connections of `mqttBridge`. */
export function translateBridges(conf: Conf, translation: Translation): void {
  if (conf.bridges.length === 0) return
  const keeps = conf.broker.flag('persistence') === true
  translation.set('mqttBridge', { connections: conf.bridges.map(bridge => connectionOf(bridge, keeps, translation)) })
  if (!keeps) return
  translation.set(
    'diskQueue',
    { path: translation.path(`${keptIn(conf.broker)}-queue`) },
    'What waits for the other brokers, as mosquitto keeps it in its database.',
  )
}

function connectionOf(bridge: Bridge, keeps: boolean, translation: Translation): Record<string, unknown> {
  const name = bridge.at.value.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 64)
  if (name !== bridge.at.value)
    translation.note(`The bridge ${bridge.at.value} is called ${name}: a name holds letters, digits, ., _ and -.`)
  const [username, password] = [bridge.text('remote_username'), bridge.text('remote_password')]
  const tls = tlsOf(bridge, translation)
  const optional = {
    roundRobin: bridge.flag('round_robin'),
    bindAddress: bridge.text('bridge_bind_address'),
    cleanStart: bridge.flag('cleansession'),
    tryPrivate: bridge.flag('try_private'),
    outgoingRetain: bridge.flag('bridge_outgoing_retain'),
    localUsername: bridge.text('local_username'),
    notificationTopic: bridge.text('notification_topic'),
  }
  const keepAlive = bridge.integer('keepalive_interval')
  const local = bridge.flag('notifications_local_only') === true ? 'local' : 'both'
  for (const [option, reason] of Object.entries(left)) translation.leave(bridge.line(option), reason)
  const start = bridge.line('start_type')
  if (start !== undefined && start.value !== 'automatic') translation.leave(start, 'a bridge is connected as long as the broker runs')
  // Not needed: a rule that carries nothing from there subscribes to nothing there.
  bridge.all('bridge_attempt_unsubscribe')
  return {
    name,
    addresses: addressesOf(bridge, translation),
    version: versions[bridge.text('bridge_protocol_version') ?? 'mqttv311'],
    clientId: bridge.text('remote_clientid') ?? `${hostname()}.${bridge.at.value}`,
    ...(username === undefined ? {} : { username }),
    ...(username === undefined || password === undefined ? {} : { password }),
    ...tls,
    ...(keepAlive === undefined ? {} : { keepAlive: `${keepAlive}s` }),
    ...retryOf(bridge, translation),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    notifications: bridge.flag('notifications') === false ? 'none' : local,
    topics: bridge.all('topic').flatMap(line => topicsOf(line, keeps, translation)),
  }
}

function addressesOf(bridge: Bridge, translation: Translation): string[] {
  const lines = bridge.all('address')
  if (lines.length === 0)
    throw new OperatorError('ERR_CONFIG', `${placeOf(translation.source.name, bridge.at)}: connection: needs an address`)
  return lines.flatMap(({ value }) =>
    value.split(/ +/).map(address => {
      const [, host = address, port = '1883'] = /^(.*?)(?::(\d+))?$/.exec(address) ?? []
      return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`
    }),
  )
}

/** TLS, and what belongs to it; nothing where the file says nothing of it. */
function tlsOf(bridge: Bridge, translation: Translation): Record<string, unknown> {
  const [ca, cert, key, alpn] = ['bridge_cafile', 'bridge_certfile', 'bridge_keyfile', 'bridge_alpn'].map(name => bridge.text(name))
  translation.leave(bridge.line('bridge_capath'), "CAs are one file: cat the folder's *.crt > ca.pem, and say ssl: { ca: 'ca.pem' }")
  const secret = bridge.line('bridge_psk') ?? bridge.line('bridge_identity')
  for (const name of ['bridge_identity', 'bridge_psk'])
    translation.leave(bridge.line(name), 'bridges have no shared keys (PSK); use certificates')
  if (ca === undefined && cert === undefined && !bridge.has('bridge_capath') && secret === undefined) return {}
  const ssl = {
    enable: true,
    ...(ca === undefined ? {} : { ca: translation.path(ca) }),
    ...(cert === undefined ? {} : { cert: translation.path(cert) }),
    ...(key === undefined ? {} : { key: translation.path(key) }),
  }
  return {
    ssl,
    ...(alpn === undefined ? {} : { alpn: [alpn] }),
    ...(bridge.flag('bridge_insecure') === true ? { checkName: false } : {}),
  }
}

function retryOf(bridge: Bridge, translation: Translation): Record<string, string> {
  const line = bridge.line('restart_timeout')
  const [base, cap = base] = line === undefined ? ['5', '30'] : line.value.split(/ +/)
  if (/^[1-9]\d*$/.test(base!) && /^[1-9]\d*$/.test(cap!) && Number(cap) >= Number(base))
    return { retryMin: `${base}s`, retryMax: `${cap}s` }
  translation.leave(line, 'one number of seconds is expected, or the least and the most')
  return {}
}

/** `topic PATTERN [[[out|in|both] QOS] LOCAL REMOTE]` as rules. */
function topicsOf(line: ConfLine, keeps: boolean, translation: Translation): Record<string, unknown>[] {
  const empty = (part = ''): string => (part === '""' ? '' : part)
  const [pattern, direction = 'out', qos = '0', local, remote] = line.value.split(/ +/)
  const [filter, localPrefix, remotePrefix] = [empty(pattern), empty(local), empty(remote)]
  if (!/^(in|out|both)$/.test(direction) || !/^[012]$/.test(qos) || (filter === '' && (localPrefix === '' || remotePrefix === '')))
    throw new OperatorError(
      'ERR_CONFIG',
      `${placeOf(translation.source.name, line)}: topic: must be a pattern, then out, in or both, a QoS, a local and a remote prefix; an empty pattern needs both prefixes`,
    )
  // Without a queue on disk mosquitto's publishers do not wait for the other broker either.
  const common = { qos: Number(qos), ...(keeps ? {} : { ack: 'none' }) }
  if (filter !== '')
    return [
      { filter, direction, ...common, ...(localPrefix === '' ? {} : { localPrefix }), ...(remotePrefix === '' ? {} : { remotePrefix }) },
    ]
  const out = { filter: localPrefix, direction: 'out', to: remotePrefix, ...common }
  const into = { filter: remotePrefix, direction: 'in', to: localPrefix, ...common }
  return direction === 'both' ? [out, into] : [direction === 'out' ? out : into]
}

const left: Readonly<Record<string, string>> = {
  bridge_max_packet_size: 'the other broker says what it takes (MQTT 5)',
  bridge_require_ocsp: 'there is no OCSP',
  bridge_tls_version: 'the newest version that both speak is used, TLS 1.2 at least',
  idle_timeout: 'a bridge is connected as long as the broker runs',
  threshold: 'a bridge is connected as long as the broker runs',
  local_cleansession: 'what waits for the other broker is kept by diskQueue, or in memory',
  local_clientid: 'a bridge is no client here',
  local_password: 'a bridge is no client here, so nobody asks for its password',
}
