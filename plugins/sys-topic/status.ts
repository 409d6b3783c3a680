import type { Broker } from '../../core/broker.ts'

/** The fields of the Java mqttx's status, by its names. */
export interface Status {
  activeConnectCount: number
  timestamp: string
  version: string
  maxActiveConnectCount: number
  receivedMsg: number
  sendMsg: number
  /** Seconds. */
  uptime: number
}

/** What the broker is doing just now. `startedAt`: milliseconds since the Unix epoch. */
export function statusOf(broker: Broker, startedAt: number): Status {
  const { counters, clock, version } = broker
  const now = clock.now()
  return {
    activeConnectCount: counters.connected,
    timestamp: localTime(clock.moment().wall),
    version,
    maxActiveConnectCount: counters.connectedMax,
    receivedMsg: counters.publishReceived,
    sendMsg: counters.publishSent,
    uptime: Math.floor((now - startedAt) / 1000),
  }
}

/** Topics that are answered once, at each SUBSCRIBE, with JSON that holds just their field. */
export const oneShots: ReadonlyMap<string, keyof Status> = new Map([
  ['$SYS/broker/activeConnectCount', 'activeConnectCount'],
  ['$SYS/broker/time', 'timestamp'],
  ['$SYS/broker/version', 'version'],
  ['$SYS/broker/maxActiveConnectCount', 'maxActiveConnectCount'],
  ['$SYS/broker/receivedMsg', 'receivedMsg'],
  ['$SYS/broker/sendMsg', 'sendMsg'],
  ['$SYS/broker/uptime', 'uptime'],
])

/** mosquitto's names, as its dashboards know them, and what plugins offer: topic under `$SYS/broker/`, and text. */
export function dashboard(broker: Broker, startedAt: number): [topic: string, text: string][] {
  const { counters, services, version, totals } = broker
  const { activeConnectCount, maxActiveConnectCount, uptime } = statusOf(broker, startedAt)
  const stored = totals.sessions
  const values: [string, string | number][] = [
    ['version', `mqttx-broker version ${version}`],
    ['uptime', `${uptime} seconds`],
    ['clients/connected', activeConnectCount],
    ['clients/disconnected', Math.max(0, stored - activeConnectCount)],
    ['clients/total', Math.max(stored, activeConnectCount)],
    ['clients/maximum', maxActiveConnectCount],
    ['messages/received', counters.packetsReceived],
    ['messages/sent', counters.packetsSent],
    ['publish/messages/received', counters.publishReceived],
    ['publish/messages/sent', counters.publishSent],
    ['publish/messages/dropped', counters.droppedTotal],
    ['bytes/received', counters.bytesReceived],
    ['bytes/sent', counters.bytesSent],
    ['subscriptions/count', totals.subscriptions],
    ['retained messages/count', services.find('retained')?.size ?? 0],
    ['heap/current', process.memoryUsage().heapUsed],
  ]
  for (const figure of broker.figures) for (const { sys, value } of figure.read()) if (sys !== undefined) values.push([sys, value])
  return values.map(([topic, value]) => [`$SYS/broker/${topic}`, String(value)])
}

/** `yyyy-MM-dd HH:mm:ss` in the machine's time zone. */
export function localTime(ms: number): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
