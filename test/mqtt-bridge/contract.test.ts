import { describe, it } from 'vitest'
import { createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'
import { bridgeContract } from '../contracts/suite/index.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'

// Goal: the bridge to other MQTT brokers passes what is asked of any bridge.

for (const version of ['5', '3.1.1'] as const) {
  let there: RunningBroker
  let port = 0
  let brought: Buffer[] = []

  const start = async (): Promise<void> => {
    there = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port } }).start()
    there.hooks.onPublish.tap('contract', (_publisher, { topic, payload }) => {
      if (topic === 'contract/refused') return 0x83
      if (topic === 'contract/a') brought.push(payload)
      return undefined
    })
  }

  bridgeContract(
    { describe, it },
    {
      name: `to another MQTT broker, by MQTT ${version}`,
      async config() {
        port = await freePort()
        brought = []
        await start()
        const topics = [{ filter: 'contract/#', ack: 'remote' as const }]
        return {
          mqttBridge: { connections: [{ name: 'there', addresses: [`127.0.0.1:${port}`], version, retryMin: 10, retryMax: 100, topics }] },
        }
      },
      async read(atLeast) {
        await eventually(() => brought.length >= atLeast)
        return brought
      },
      // MQTT 3.1.1 has no way of refusing one message.
      ...(version === '5' ? { refused: { topic: 'contract/refused', payload: 'x' } } : {}),
      async away() {
        await there.stop()
        return start
      },
      dispose: () => there.stop(),
    },
  )
}
