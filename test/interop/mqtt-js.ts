import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import { onTestFinished } from 'vitest'
import type { Address } from './mosquitto.ts'

/** A client of npm's `mqtt`, and what it was sent. */
export async function connect(broker: Address, options: IClientOptions = {}) {
  const client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, { reconnectPeriod: 0, ...options })
  onTestFinished(() => void client.end(true))
  // From the beginning, for what is queued for a session comes right behind its CONNACK.
  const inbox = new Inbox(client)
  const { sessionPresent } = await new Promise<IConnackPacket>((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
  })
  return { client, inbox, sessionPresent }
}

class Inbox {
  readonly packets: IPublishPacket[] = []
  #arrived: () => void = () => {}

  constructor(client: MqttClient) {
    client.on('message', (topic, _payload, packet) => {
      // In the packet itself the topic is empty where an alias stands for it.
      this.packets.push({ ...packet, topic })
      this.#arrived()
    })
  }

  async first(count: number): Promise<IPublishPacket[]> {
    while (this.packets.length < count) {
      await new Promise<void>(resolve => {
        this.#arrived = resolve
      })
    }
    return this.packets
  }

  async texts(count: number): Promise<string[]> {
    return (await this.first(count)).map(({ topic, payload }) => `${topic} ${payload}`)
  }
}
