import { createBroker, definePlugin } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { KitClient, type KitClientOptions } from '../../presets/testing/kit-client.ts'
import { Line } from '../../presets/testing/line.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { settled } from '../../presets/testing/settled.ts'

/** A plant that never was: what the page is tested and photographed with. */
export interface Demo {
  readonly broker: RunningBroker
  /** The id of a client that reads nothing once there is trouble. */
  readonly slow: string
  /** An address of the page that is good once. */
  entrance(role?: 'read' | 'operate' | 'admin'): Promise<string>
  /** What devices do in three seconds, which pass. */
  step(): Promise<void>
  /** From now on one client reads nothing, and another publishes what it may not. */
  trouble(): Promise<void>
  /** A client publishes a message. */
  publishFrom(id: string, topic: string): Promise<number>
  /** So many more clients, which only are there. */
  crowd(count: number): Promise<void>
}

export interface DemoOptions {
  /** How much has happened already, in steps of three seconds. */
  readonly steps: number
  /** Messages of a step, at most. */
  readonly busy: number
  readonly devices?: number
  /** Milliseconds in which nothing is done, after each step, so that the event loop is not busy all the time. */
  readonly idleMs?: number
  /** Steps that somebody takes afterwards, until it is now. */
  readonly later?: number
  /** The least that is logged, and printed. */
  readonly level?: 'info' | 'warn'
}

const lines = ['press', 'paint', 'assembly', 'packing']

/** As the plugin messageBridge offers them: a bridge to Kafka is tested elsewhere. */
const bridge = definePlugin({
  name: 'demoBridge',
  apply({ broker }) {
    const labels = { target: 'kafka' }
    broker.figures.add({ name: 'bridge_waiting_messages', help: 'Waiting.', type: 'gauge', read: () => [{ value: 42, labels }] })
    broker.figures.add({ name: 'bridge_lag_seconds', help: 'Lag.', type: 'gauge', read: () => [{ value: 2, labels }] })
  },
})

/** Starts it with the page on a free port of loopback. Time stands still but for its steps. */
export async function startDemo({ steps, busy, devices = 60, idleMs = 0, later = 0, level = 'warn' }: DemoOptions): Promise<Demo> {
  const clock = new ManualClock(Date.now() - (steps + later) * 3000)
  const broker = await createBroker(
    {
      preset: 'test',
      brokerId: 'plant-north',
      log: { level, format: 'json' },
      socket: { port: 0 },
      plugins: [bridge()],
      topicSecurity: {
        rules: [
          { deny: 'publish', topics: ['plant/+/+/set'], users: ['device'] },
          { allow: 'all', topics: ['#'] },
        ],
      },
      mqtt: { queueMessagesMax: 300 },
      ban: {},
      admin: { socket: false, page: true, payloads: true, http: { port: 0 } },
    },
    { clock },
  ).start()
  const held = new Map<string, Line>()
  const join = (id: string, options: KitClientOptions & { protocol?: string } = {}): Promise<KitClient> => {
    const [ours, theirs] = Line.pair()
    const { remoteAddress = '10.20.0.1', protocol = 'tcp' } = options
    broker.accept(theirs, { protocol, listener: 'demo', remoteAddress, allowAnonymous: true })
    held.set(id, theirs)
    return KitClient.connect(ours, id, options)
  }

  const clients: KitClient[] = []
  const byId = new Map<string, KitClient>()
  const pathOf = (i: number): string => `plant/${lines[i % lines.length]}/${Math.floor(i / lines.length) + 1}`
  for (let i = 0; i < devices; i++) {
    const id = `${lines[i % lines.length]}-${String(Math.floor(i / lines.length) + 1).padStart(3, '0')}`
    const protocol = i % 5 === 0 ? 'tcp' : 'tls'
    byId.set(id, await join(id, { username: 'device', remoteAddress: `10.20.${i % 4}.${i + 11}`, version: i % 3 === 0 ? 4 : 5, protocol }))
    clients.push(byId.get(id)!)
  }
  const scada = await join('scada', { username: 'scada', remoteAddress: '10.20.0.5', protocol: 'tls' })
  await scada.subscribe('plant/#', 1)
  await scada.subscribe('$share/alarms/plant/+/+/alarm', 1)
  const wall = await join('dashboard-hall-2', { username: 'viewer', remoteAddress: '10.20.8.31', protocol: 'wss' })
  for (const line of lines) await wall.subscribe(`plant/${line}/+/state`, 0)
  for (const [i, client] of clients.entries()) if (i % 2 === 0) await client.subscribe(`${pathOf(i)}/set`, 1)
  for (const [i, client] of clients.entries()) {
    await client.publish(`${pathOf(i)}/state`, i % 7 === 0 ? 'stopped' : 'running', { retain: true, qos: 1 })
    await client.publish(`${pathOf(i)}/firmware`, '{"version":"4.2.1"}', { retain: true, qos: 1 })
  }
  await clients[0]!.publish('site/north/weather', '{"outside":11.4}', { retain: true, qos: 1 })
  await clients[0]!.publish('site/north/shift', 'early', { retain: true, qos: 1 })
  const historian = await join('historian', { username: 'historian', remoteAddress: '10.20.9.2', cleanStart: false, protocol: 'tls' })
  await historian.subscribe('plant/+/+/temperature', 1)
  await historian.subscribe('plant/+/+/state', 1)

  // As much as on a working day: a wave, and some noise that is the same each time.
  let n = 0
  const step = async (): Promise<void> => {
    const count = Math.round(busy * (0.66 + 0.26 * Math.sin(n / 23) + 0.06 * Math.sin(n * 1.7) * Math.sin(n / 5)))
    for (let i = 0; i < count; i++) {
      const at = (n * 31 + i * 7) % clients.length
      const celsius = (20 + 5 * Math.sin((n + at) / 9)).toFixed(2)
      // Nobody waits for the acknowledgement of one that is never sent to a slow reader.
      void clients[at]!.publish(`${pathOf(at)}/temperature`, `{"celsius":${celsius}}`, { qos: i % 4 === 0 ? 1 : 0 }).catch(() => {})
    }
    n += 1
    await settled()
    if (idleMs > 0) await new Promise(resolve => setTimeout(resolve, idleMs))
    clock.advance(3000)
    await settled()
  }
  for (let i = 0; i < steps; i++) await step()
  const guard = { name: 'night shift', via: 'socket', role: 'admin' }
  await broker.broker.operate(guard, 'ban', { address: '203.0.113.0/24', reason: 'guesses passwords', for: '1d' })
  await broker.broker.operate(guard, 'ban', { id: 'gateway-old', reason: 'replaced by gateway-2' })
  return {
    broker,
    slow: 'historian',
    step,
    entrance: async (role = 'admin') => (await broker.broker.operate({ name: 'ada', via: 'program', role: 'admin' }, 'page', { role })).url,
    publishFrom: (id, topic) => byId.get(id)!.publish(topic, 'now', { qos: 1 }),
    async trouble() {
      held.get('historian')!.held = true
      void clients[1]!.publish(`${pathOf(1)}/set`, '21').catch(() => {})
      await settled()
    },
    async crowd(count) {
      // Some at a time: each has a connection and a session of its own.
      for (let i = 0; i < count; i += 100)
        await Promise.all(
          Array.from({ length: Math.min(100, count - i) }, (_, k) =>
            join(`meter-${String(i + k).padStart(5, '0')}`, { remoteAddress: `10.99.${(i + k) >> 8}.${(i + k) & 255}` }),
          ),
        )
    },
  }
}
