import { networkInterfaces } from 'node:os'
import type { Conf, Listener } from './conf.ts'
import { tlsOf } from './tls.ts'
import type { Translation } from './translation.ts'

/** The listeners become `socket` and `websocket`. */
export function translateListeners(conf: Conf, translation: Translation): void {
  const named = needNames(conf)
  const sections: Record<'socket' | 'websocket', Record<string, unknown>[]> = { socket: [], websocket: [] }
  for (const listener of conf.listeners) {
    const protocol = listener.text('protocol') ?? 'mqtt'
    if (protocol !== 'mqtt' && protocol !== 'websockets') {
      translation.leave(listener.line('protocol'), 'there are listeners for mqtt and websockets')
      continue
    }
    const section = protocol === 'mqtt' ? 'socket' : 'websocket'
    const connections = listener.integer('max_connections') ?? -1
    const anonymous = anonymousAt(conf, listener)
    const tls = tlsOf(conf, listener, translation)
    sections[section].push({
      ...(named ? { name: nameOf(listener) } : {}),
      ...placeOf(listener, translation),
      ...(connections > 0 ? { maxConnections: connections } : {}),
      ...(conf.perListener ? { allowAnonymous: anonymous } : {}),
      ...(tls === undefined ? {} : { tls }),
    })
    rest(listener, translation)
  }
  for (const [name, entries] of Object.entries(sections)) {
    if (entries.length > 0) translation.set(name, entries.length === 1 ? entries[0] : entries)
    else if (name === 'socket') translation.set('socket', false)
  }
  if (!conf.perListener) translation.set('allowAnonymous', conf.security.flag('allow_anonymous') ?? conf.localOnly)
  mountPoints(conf, translation)
  common(conf, translation)
  clientIds(conf, translation)
}

/** Whether clients without a user name may connect there, as mosquitto 2 has it. */
export function anonymousAt(conf: Conf, listener: Listener): boolean {
  const block = conf.perListener ? listener : conf.security
  return block.flag('allow_anonymous') ?? conf.localOnly
}

/** What a listener is called where something holds for it and not for others. */
export function nameOf({ port, path, host }: Listener): string {
  return path !== undefined ? path : host === undefined || host === 'localhost' ? `port-${port}` : `${host}:${port}`
}

/** Something holds for one listener and not for another. */
function needNames({ perListener, listeners }: Conf): boolean {
  const differs = listeners.some(one => one.has('mount_point') || one.has('use_identity_as_username') || one.has('use_subject_as_username'))
  return perListener ? listeners.some(one => one.has('password_file') || one.has('acl_file')) || differs : differs
}

function placeOf(listener: Listener, translation: Translation): Record<string, unknown> {
  if (listener.path !== undefined) return { socketPath: translation.path(listener.path) }
  const { port } = listener
  const device = listener.line('bind_interface')
  if (device !== undefined) {
    const addresses = (networkInterfaces()[device.value] ?? []).filter(
      ({ family }) => listener.text('socket_domain') !== 'ipv6' || family === 'IPv6',
    )
    const address = addresses[0]?.address
    if (address !== undefined) return { port, host: address }
    translation.leave(device, 'this machine has no such interface; say the address by host', true)
  }
  if (listener.host !== undefined) return { port, host: listener.host }
  const domain = listener.text('socket_domain')
  // Where there is IPv6, `::` is both.
  const both = domain !== 'ipv4' && Object.values(networkInterfaces()).some(all => all?.some(({ family }) => family === 'IPv6'))
  return { port, host: domain === 'ipv6' || both ? '::' : '0.0.0.0' }
}

function rest(listener: Listener, translation: Translation): void {
  translation.leave(listener.line('http_dir'), 'the broker serves no files; let a web server do that')
}

function mountPoints({ listeners }: Conf, translation: Translation): void {
  const prefixes: Record<string, string> = {}
  for (const listener of listeners) {
    const line = listener.line('mount_point')
    if (line === undefined) continue
    if (line.value.endsWith('/')) prefixes[nameOf(listener)] = line.value
    else translation.leave(line, 'a mount point ends with /, so that # below it is a filter too', true)
  }
  if (Object.keys(prefixes).length > 0) translation.set('mountpoint', { listeners: prefixes })
}

/** What each listener of mosquitto has for itself, and all of them have in common here: the least counts. */
function common({ listeners }: Conf, translation: Translation): void {
  const options = [
    { name: 'max_topic_alias', path: 'mqtt.topicAliasMaximum', unsaid: 10, comment: "This broker's own is 32." },
    { name: 'max_qos', path: 'mqtt.maximumQoS', unsaid: 2, comment: undefined },
  ]
  for (const { name, path, unsaid, comment } of options) {
    const lines = listeners.map(one => one.line(name))
    const least = Math.min(...lines.map(line => Number(line?.value ?? unsaid)))
    if (comment !== undefined || least !== unsaid) translation.set(path, least, comment)
    for (const line of lines)
      if (line !== undefined && Number(line.value) !== least)
        translation.leave(line, `all listeners have one maximum: ${path}, here ${least}`)
  }
}

function clientIds({ perListener, security, listeners }: Conf, translation: Translation): void {
  const blocks = perListener ? listeners : [security]
  const refusing = blocks.filter(one => one.flag('allow_zero_length_clientid') === false)
  if (refusing.length === blocks.length) translation.set('mqtt.emptyClientIds', false)
  else
    for (const one of refusing)
      translation.leave(one.line('allow_zero_length_clientid'), 'all listeners are alike in that: mqtt.emptyClientIds', true)
  const prefixes = new Set(blocks.map(one => one.text('auto_id_prefix') ?? 'auto-'))
  const [prefix] = prefixes
  if (prefixes.size > 1)
    for (const one of blocks) translation.leave(one.line('auto_id_prefix'), 'all listeners have one prefix: mqtt.assignedIdPrefix')
  else if (prefix !== 'auto-') translation.set('mqtt.assignedIdPrefix', prefix)
  const byName = listeners.filter(one => one.flag('use_username_as_clientid') === true)
  if (byName.length > 0 && byName.length === listeners.length) translation.set('mqtt.clientIdFrom', 'username')
  else
    for (const one of byName)
      translation.leave(one.line('use_username_as_clientid'), 'all listeners are alike in that: mqtt.clientIdFrom', true)
}
