import mqtt from 'mqtt'
import { onTestFinished } from 'vitest'
import { type Config, createBroker, type ManualClock } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { keptLog, type LogLine } from './log.ts'

export type EndpointConfig = NonNullable<NonNullable<Exclude<Config['webhooks'], boolean>>['endpoints']>[number]

export interface PostingBroker {
  readonly running: RunningBroker
  readonly lines: readonly LogLine[]
  /** Messages that were dropped: whom they were for, and why. */
  readonly drops: readonly { readonly clientId: string; readonly reason: string; readonly payload: string }[]
  /** A figure of the endpoint. */
  figure(name: string): number
  connect(options?: mqtt.IClientOptions): Promise<mqtt.MqttClient>
}

/** A broker on a real port whose events go to one endpoint, `hook`, that stops when the test has finished. */
export async function postingBroker(
  endpoint: Omit<EndpointConfig, 'name'>,
  more: Config = {},
  clock?: ManualClock,
): Promise<PostingBroker> {
  const { lines, plugin } = keptLog()
  const drops: { clientId: string; reason: string; payload: string }[] = []
  const { plugins = [], ...rest } = more
  const config: Config = {
    preset: 'test',
    socket: { port: 0 },
    log: false,
    ...rest,
    webhooks: { stopTimeout: '1s', endpoints: [{ name: 'hook', retryMin: 10, retryMax: '100ms', linger: 5, ...endpoint }] },
    plugins: [plugin, ...plugins],
  }
  const running = await createBroker(config, clock === undefined ? {} : { clock }).start()
  onTestFinished(() => running.stop())
  running.hooks.onDrop.tap('test', (clientId, message, reason) => {
    drops.push({ clientId, reason, payload: message.payload.toString('utf8', 0, 20) })
  })
  return {
    running,
    lines,
    drops,
    figure(name) {
      for (const figure of running.broker.figures)
        if (figure.name === `webhook_${name}`) return figure.read().find(({ labels }) => labels?.target === 'hook')?.value ?? 0
      throw new Error(`there is no figure ${name}`)
    },
    async connect(options = {}) {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${running.port}`, { reconnectPeriod: 0, protocolVersion: 5, ...options })
      client.on('error', () => {})
      onTestFinished(() => void client.end(true))
      return client
    },
  }
}
