import mqtt from 'mqtt'
import { expect, onTestFinished } from 'vitest'
import { type Config, createBroker, type RunningBroker } from '../../presets/index.ts'
import { parseExposition } from '../support/prometheus.ts'
import { freePort } from '../support/redis.ts'

/** A broker whose metrics can be read. */
export interface Measured {
  readonly running: RunningBroker
  readonly url: string
  scrape(): Promise<(name: string, labels?: Record<string, string>) => number | undefined>
}

/** Starts one that stops when the test has finished. */
export async function measured(config: Config = {}): Promise<Measured> {
  const port = (config as { metrics?: { port: number } }).metrics?.port ?? (await freePort())
  const running = await createBroker({
    preset: 'test',
    log: { level: 'silent' },
    socket: { port: 0 },
    metrics: { port },
    ...config,
  }).start()
  onTestFinished(() => running.stop())
  const url = `http://127.0.0.1:${port}`
  return {
    running,
    url,
    async scrape() {
      const response = await fetch(`${url}/metrics`)
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      const { samples } = parseExposition(await response.text())
      return (name, labels = {}) =>
        samples.find(sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))?.value
    },
  }
}

/** A client that has its CONNACK. */
export async function connect({ port }: RunningBroker, options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, ...options })
  onTestFinished(() => void client.end(true))
  return client
}
