import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Rights } from '../../core/publisher.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker } from '../support/broker.ts'
import { Gate, type Verb } from '../support/gated-store.ts'

// Goal: a message that waits for the answer of the session store does not go out where the right to it is taken away meanwhile. Method:
// the store answers when the test says so, and each way on which a message of a durable session waits for it is tried.

const all: Rights = { authorizedSub: ['#'], authorizedPub: ['#'] }
const onlyA: Rights = { authorizedSub: ['a/#'], authorizedPub: ['a/#'] }
const durable = { version: 5, clientId: 'reader', cleanStart: false, properties: { sessionExpiry: 3600 } } as const

async function start(more: Config = {}) {
  const gate = new Gate({ ...more, enableTopicSubPubSecure: true })
  const broker = await startBroker(gate.config)
  broker.hooks.onAuthenticate.tap('test', () => ({ rights: all }))
  const drops: string[] = []
  broker.hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push(`${clientId} ${topic} ${reason}`))
  const writer = await broker.connect({ version: 5, clientId: 'writer' })
  const reader = await broker.connect(durable)
  await reader.subscribe('#', 2)
  return { ...broker, gate, drops, writer, reader }
}

async function waitsFor(gate: Gate, verb: Verb): Promise<void> {
  await settled()
  expect(gate.waiting).toContain(verb)
}

describe('rights that are taken away while a message waits at the gate of the session store', () => {
  test.each([1, 2] as const)(
    'keep it back where it was about to be sent at once, at QoS %i; its place in the window is free again',
    async qos => {
      const { gate, running, writer, connect, broker, drops } = await start({ mqtt: { inflightMax: 2 } })
      const reader = await connect(durable)
      // It has read what waits for it, which is nothing.
      await settled()
      gate.hold('append')
      for (const topic of ['b/1', 'a/1', 'b/2']) writer.sendPublish(topic, topic, { qos })
      await waitsFor(gate, 'append')
      running.setRights('reader', onlyA)
      gate.release()
      await settled()
      expect((await reader.receive()).topic).toBe('a/1')
      expect(await reader.payloads()).toEqual([])
      expect(drops).toEqual(['reader b/1 notAuthorized', 'reader b/2 notAuthorized'])
      expect(broker.roster.get('reader')!.window!.count).toBe(0)
      // Nothing of it is left in the store either.
      reader.drop()
      await reader.closed
      running.setRights('reader', all)
      expect(await (await connect(durable)).payloads()).toEqual([])
    },
  )

  test('keep it back where it waited for the client to come again', async () => {
    const { gate, running, writer, reader, connect, drops } = await start()
    reader.drop()
    await reader.closed
    await writer.publish('b', 'x', { qos: 1 })
    gate.hold('send')
    const again = await connect(durable)
    await waitsFor(gate, 'send')
    running.setRights('reader', onlyA)
    gate.release()
    await settled()
    expect(await again.payloads()).toEqual([])
    expect(drops).toEqual(['reader b notAuthorized'])
  })

  test('keep it back at QoS 0 too, which is taken out of the store before it is sent', async () => {
    const { gate, running, writer, reader, connect, drops } = await start({ mqtt: { queueQoS0: true } })
    reader.drop()
    await reader.closed
    await writer.publish('b', 'x')
    await writer.publish('a/1', 'y')
    await writer.rest()
    gate.hold('remove')
    const again = await connect(durable)
    await waitsFor(gate, 'remove')
    running.setRights('reader', onlyA)
    gate.release()
    await settled()
    expect(await again.payloads()).toEqual(['y'])
    expect(drops).toEqual(['reader b notAuthorized'])
  })

  test('let it go to another member of the shared group that it came through', async () => {
    const { gate, running, writer, reader, connect, drops } = await start()
    await reader.unsubscribe('#')
    await reader.subscribe('$share/g/b', 1)
    gate.hold('append')
    writer.sendPublish('b', 'x', { qos: 1 })
    await waitsFor(gate, 'append')
    const other = await connect({ version: 5, clientId: 'other' })
    gate.release()
    gate.hold('append')
    await reader.receive()
    writer.sendPublish('b', 'y', { qos: 1 })
    await waitsFor(gate, 'append')
    const joined = other.subscribe('$share/g/b', 1)
    await joined
    running.setRights('reader', onlyA)
    gate.release()
    await settled()
    expect(String((await other.receive()).payload)).toBe('y')
    expect(await reader.payloads()).toEqual([])
    expect(drops).toEqual([])
  })
})

test('PUBCOMP that comes before the session store has answered PUBREC ends the exchange: no PUBREL follows, and its place in the window is free', async () => {
  const { gate, writer, connect, broker } = await start({ mqtt: { inflightMax: 1 } })
  const reader = await connect(durable)
  // More often than the window has slots, so that each lost one would be missed.
  for (let i = 0; i < 40; i++) {
    await writer.publish('a', `${i}`, { qos: 2 })
    const { packetId, payload } = await reader.message()
    expect(payload.toString()).toBe(`${i}`)
    gate.hold('release')
    reader.ack(PacketType.Pubrec, packetId)
    await waitsFor(gate, 'release')
    reader.ack(PacketType.Pubcomp, packetId)
    await settled()
    gate.release()
    await settled()
    expect(reader.heard.filter(({ type }) => type === PacketType.Pubrel)).toEqual([])
    expect(broker.roster.get('reader')!.window).toMatchObject({ count: 0 })
    expect(broker.roster.get('reader')!.window!.entries()).toEqual([])
  }
})
