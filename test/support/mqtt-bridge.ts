import mqtt from 'mqtt'
import { onTestFinished } from 'vitest'
import { type Clock, type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { eventually } from './eventually.ts'
import { keptLog, type LogLine } from './log.ts'

type Bridge = NonNullable<Exclude<Config['mqttBridge'], boolean>>
export type BridgeConnectionInput = NonNullable<Bridge['connections']>[number]

/** One broker of a test of bridges. */
export interface Side {
  readonly running: RunningBroker
  readonly port: number
  readonly lines: readonly LogLine[]
  /** Messages that were dropped: whom they were for, and why. */
  readonly drops: readonly { readonly clientId: string; readonly reason: string; readonly topic: string }[]
  connect(options?: mqtt.IClientOptions): Promise<mqtt.MqttClient>
  /** A subscriber, and what it got: `topic payload`, with ` retained` behind it. */
  hear(filter: string, options?: mqtt.IClientOptions): Promise<string[]>
  /** The figures of a bridge of this broker, by name without `mqtt_bridge_`. */
  figure(name: string): number
  stop(): Promise<void>
}

/** A broker on a real port, which stops when the test has finished. */
export async function side(config: Config = {}, clock?: Clock): Promise<Side> {
  const { lines, plugin } = keptLog()
  const drops: { clientId: string; reason: string; topic: string }[] = []
  const { plugins = [], ...rest } = config
  const running = await createBroker(
    { preset: 'test', socket: { port: 0 }, log: false, ...rest, plugins: [plugin, ...plugins] },
    clock === undefined ? {} : { clock },
  ).start()
  let stopped = false
  const stop = async (): Promise<void> => {
    if (stopped) return
    stopped = true
    await running.stop()
  }
  onTestFinished(stop)
  running.hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push({ clientId, reason, topic }))
  const connect = async (options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> => connectTo(running.port, options)
  return {
    running,
    port: running.port,
    lines,
    drops,
    connect,
    hear: (filter, options) => hear(running.port, filter, options),
    figure(name) {
      for (const figure of running.broker.figures)
        if (figure.name === `mqtt_bridge_${name}`) return figure.read().reduce((sum, { value }) => sum + value, 0)
      throw new Error(`there is no mqtt_bridge_${name}`)
    },
    stop,
  }
}

export async function connectTo(port: number, options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, protocolVersion: 5, ...options })
  client.on('error', () => {})
  onTestFinished(() => void client.end(true))
  return client
}

/** What a subscriber of a broker gets. */
export async function hear(port: number, filter: string, options: mqtt.IClientOptions = {}): Promise<string[]> {
  const client = await connectTo(port, options)
  const heard: string[] = []
  client.on('message', (topic, payload, { retain }) => void heard.push(`${topic} ${payload}${retain ? ' retained' : ''}`))
  await client.subscribeAsync(filter, { qos: 2, rap: true })
  return heard
}

/** A bridge of a broker to another one, quick to try again. */
export function bridgeTo(port: number, connection: Partial<BridgeConnectionInput> = {}): Config['mqttBridge'] {
  return {
    connections: [{ name: 'site', addresses: [`127.0.0.1:${port}`], retryMin: 20, retryMax: 100, notifications: 'none', ...connection }],
  }
}

/** Resolves when a bridge is connected, and its subscriptions are granted. */
export async function connected({ figure }: Side, remote?: Side): Promise<void> {
  await eventually(() => figure('connected') > 0)
  if (remote !== undefined) await eventually(() => remote.running.broker.totals.subscriptions > 0)
}
