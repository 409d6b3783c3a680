// kafkajs by itself, sending what the bridge sends as the bridge sends it: one idempotent producer, a batch of 500 at a time. Prints a line of JSON.
import kafkajs from 'kafkajs'

const [address, topic, count] = process.argv.slice(2) as [string, string, string]
const total = Number(count)
const batch = 500
const payload = Buffer.alloc(256, 'x')

const kafka = new kafkajs.Kafka({ brokers: [address], logLevel: kafkajs.logLevel.NOTHING })
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
await producer.connect()

async function send(messages: number): Promise<void> {
  for (let sent = 0; sent < messages; sent += batch) {
    await producer.send({
      topic,
      acks: -1,
      messages: Array.from({ length: batch }, (_, index) => {
        const clientId = `p${(sent + index) % 50}`
        return {
          key: clientId,
          value: payload,
          headers: { 'mqtt.topic': `bench/${clientId}`, 'mqtt.clientId': clientId, 'mqtt.qos': '1', 'mqtt.retain': 'false' },
          timestamp: String(Date.now()),
        }
      }),
    })
  }
}

await send(20_000)
const before = process.cpuUsage()
const begun = performance.now()
await send(total)
const seconds = (performance.now() - begun) / 1000
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ perSecond: total / seconds, cpuMicros: (user + system) / total }))
await producer.disconnect()
