import mqtt from 'mqtt'
import { onTestFinished } from 'vitest'
import { type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { keptLog, type LogLine } from './log.ts'

export interface BridgingBroker {
  readonly running: RunningBroker
  readonly lines: readonly LogLine[]
  /** Messages that were dropped: whom they were for, and why. */
  readonly drops: readonly { readonly clientId: string; readonly reason: string; readonly payload: string }[]
  connect(options?: mqtt.IClientOptions): Promise<mqtt.MqttClient>
}

/** A broker in memory with a bridge, on a real port, that stops when the test has finished. */
export async function bridgingBroker(messageBridge: Config['messageBridge'] & object, more: Config = {}): Promise<BridgingBroker> {
  const { lines, plugin } = keptLog()
  const drops: { clientId: string; reason: string; payload: string }[] = []
  const { plugins = [], ...rest } = more
  const running = await createBroker({
    preset: 'test',
    socket: { port: 0 },
    log: false,
    ...rest,
    messageBridge: { retryMax: '200ms', ...messageBridge },
    plugins: [plugin, ...plugins],
  }).start()
  onTestFinished(() => running.stop())
  running.hooks.onDrop.tap('test', (clientId, message, reason) => {
    drops.push({ clientId, reason, payload: message.payload.toString('utf8', 0, 20) })
  })
  return {
    running,
    lines,
    drops,
    async connect(options = {}) {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${running.port}`, { reconnectPeriod: 0, protocolVersion: 5, ...options })
      client.on('error', () => {})
      onTestFinished(() => void client.end(true))
      return client
    },
  }
}

/** What one device sends: numbers in its own order, each until it is acknowledged; `reconnectPeriod` has it come again. */
export async function publishNumbers(port: number, clientId: string, topic: string, count: number, version: 4 | 5 = 5): Promise<void> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    clientId,
    protocolVersion: version,
    clean: false,
    reconnectPeriod: 100,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 1000 } } : {}),
  })
  client.on('error', () => {})
  try {
    // A window of its own, so that what is in doubt stays within the broker's Receive Maximum.
    const window = 200
    for (let from = 0; from < count; from += window) {
      const numbers = Array.from({ length: Math.min(window, count - from) }, (_, index) => from + index)
      await Promise.all(numbers.map(number => client.publishAsync(topic, numbered(clientId, number), { qos: 1 })))
    }
  } finally {
    await client.endAsync(true)
  }
}

const filler = 'x'.repeat(230)

/** A payload of 256 bytes or so that says whose it is and its number. */
export function numbered(clientId: string, number: number): string {
  return `${clientId} ${number} ${filler}`
}

/** What is wrong with messages that `publishNumbers` sent, in the order of each key: those that are missing, and those out of order; repeats are counted. */
export function judgeNumbers(
  values: Iterable<{ readonly key: string; readonly value: Buffer }>,
  clients: readonly string[],
  count: number,
): { lost: number; disordered: number; repeated: number } {
  const seen = new Map(clients.map(client => [client, { numbers: new Set<number>(), highest: -1 }]))
  let disordered = 0
  let repeated = 0
  for (const { key, value } of values) {
    const number = Number(value.toString().split(' ')[1])
    const known = seen.get(key)!
    if (known.numbers.has(number)) {
      repeated += 1
      continue
    }
    known.numbers.add(number)
    if (number < known.highest) disordered += 1
    known.highest = Math.max(known.highest, number)
  }
  let lost = 0
  for (const { numbers } of seen.values()) lost += count - numbers.size
  return { lost, disordered, repeated }
}
