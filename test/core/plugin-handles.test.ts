import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import { ReasonCode } from '../../core/reason.ts'
import { PacketDecoder } from '../../presets/testing/packet-codec.ts'
import { settled, startBroker } from '../support/broker.ts'

describe('pauseReading', () => {
  test('stops reading until everybody who paused has resumed; what came meanwhile is kept in order', async () => {
    const { connect, broker } = await startBroker()
    const reader = await connect()
    await reader.subscribe('a')
    const writer = await connect({ clientId: 'writer' })
    const client = broker.clientOf('writer')!
    client.pauseReading('one')
    client.pauseReading('two')
    client.pauseReading('two')
    for (let i = 0; i < 5; i++) writer.sendPublish('a', String(i))
    await settled()
    expect(await reader.payloads()).toEqual([])
    client.resumeReading('one')
    client.resumeReading('three')
    await settled()
    expect(await reader.payloads()).toEqual([])
    client.resumeReading('two')
    await settled()
    expect(await reader.payloads()).toEqual(['0', '1', '2', '3', '4'])
    client.resumeReading('two')
  })

  test('holds after the packet that is being handled, and can be called from any hook', async () => {
    const { connect, broker, hooks } = await startBroker()
    const reader = await connect()
    await reader.subscribe('a')
    await connect({ clientId: 'writer' }).then(async writer => {
      const client = broker.clientOf('writer')!
      hooks.onPublish.tap('test', () => client.pauseReading('test'))
      writer.sendBytes('30 04 00 01 61 30  30 04 00 01 61 31  30 04 00 01 61 32')
      for (const payload of ['0', '1', '2']) {
        await settled()
        expect(await reader.payloads()).toEqual([payload])
        client.resumeReading('test')
      }
    })
  })

  test('a client that goes while it is paused goes, and resuming it then does nothing', async () => {
    const { connect, advance, broker } = await startBroker()
    const writer = await connect({ clientId: 'writer' })
    const client = broker.clientOf('writer')!
    client.pauseReading('test')
    client.close(ReasonCode.AdministrativeAction, 'enough')
    await writer.closed
    client.resumeReading('test')
    // It is not read any more, so its end is not seen; the time for a good-bye is over.
    await advance(2000)
    expect(broker.clients.size).toBe(0)
  })
})

describe('meter', () => {
  test('hears of every read and of every PUBLISH, those that waited for their turn too; its verdict is the publish’s', async () => {
    const { open, broker, hooks } = await startBroker()
    const seen: (number | string)[] = []
    hooks.onConnect.tap('test', client => {
      client.meter = {
        read: bytes => void seen.push(bytes),
        publish: ({ topic }) => {
          seen.push(topic)
          return topic === 'no' ? ReasonCode.QuotaExceeded : topic === 'drop' ? 'drop' : undefined
        },
      }
    })
    const client = open(5)
    const connecting = client.connect({ clientId: 'c' })
    client.sendPublish('early', '', { qos: 1, packetId: 1 })
    await connecting
    expect(await client.next(PacketType.Puback)).toMatchObject({ packetId: 1 })
    for (const [topic, reasonCode] of [
      ['yes', ReasonCode.NoMatchingSubscribers],
      ['no', ReasonCode.QuotaExceeded],
      ['drop', ReasonCode.Success],
    ] as const)
      expect(await client.publish(topic, '', { qos: 1, packetId: 2 })).toMatchObject({ packetId: 2, reasonCode })
    expect(seen).toEqual(['early', 'yes', 10, 'no', 9, 'drop', 11])
    expect(broker.counters.dropped.refused).toBe(2)
  })

  test('one that closes the client is the end of that publish', async () => {
    const { connect, broker, hooks } = await startBroker()
    const reader = await connect()
    await reader.subscribe('#')
    hooks.onConnect.tap('test', client => {
      client.meter = { read: () => {}, publish: () => void client.close(ReasonCode.MessageRateTooHigh, 'too fast') }
    })
    const writer = await connect({ version: 5 })
    writer.sendBytes('30 05 00 01 61 00 30  30 05 00 01 61 00 31')
    expect((await writer.ended())?.reasonCode).toBe(ReasonCode.MessageRateTooHigh)
    expect(await reader.payloads()).toEqual([])
    expect(broker.counters.publishReceived).toBe(1)
  })
})

describe('onAccept and onClosed', () => {
  test.each([
    [5, ReasonCode.UseAnotherServer, ReasonCode.UseAnotherServer],
    [4, ReasonCode.UseAnotherServer, 3],
    [4, ReasonCode.Banned, 5],
  ] as const)('MQTT %i: a refusal from onAccept (%i) is the answer to CONNECT', async (version, reasonCode, said) => {
    const { open, hooks } = await startBroker()
    hooks.onAccept.tap('test', () => ({ reasonCode, reasonString: 'go there', serverReference: 'other:1883' }))
    const client = open(version)
    const connack = await client.connect()
    expect(connack.reasonCode).toBe(said)
    if (version === 5) expect(connack.properties).toEqual({ reasonString: 'go there', serverReference: 'other:1883' })
    await client.closed
  })

  test('onClosed comes once for each connection that onAccept was asked about, in whatever way it ended', async () => {
    const { open, connect, hooks } = await startBroker()
    const open_ = new Set<object>()
    let asked = 0
    hooks.onAccept.tap('test', transport => {
      open_.add(transport)
      asked += 1
    })
    hooks.onAccept.tap('picky', () => (asked % 2 === 0 ? false : undefined))
    hooks.onClosed.tap('test', transport => {
      expect(open_.delete(transport)).toBe(true)
    })
    const silent = open()
    await open().closed
    const client = await connect()
    await open().closed
    expect(open_.size).toBe(2)
    silent.drop()
    client.disconnect()
    await client.closed
    await settled()
    expect(open_.size).toBe(0)
  })
})

test('a packet whose beginning is kept has a number of its own, however many come in one read', () => {
  const decoder = new PacketDecoder({ onPacket: () => {}, onPublish: () => {} }, { maximumPacketSize: 1000, receiver: 'client' })
  const feed = (hex: string) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')
    decoder.feed(bytes, 0, bytes.length)
    return [decoder.begun, decoder.pendingBytes]
  }
  const publish = '30 04 00 01 61 78'
  expect(feed(publish)).toEqual([0, 0])
  expect(feed('30 04 00')).toEqual([1, 3])
  expect(feed('01')).toEqual([1, 4])
  expect(feed('61 78')).toEqual([1, 0])
  expect(feed('30 04')).toEqual([2, 2])
  expect(feed(`00 01 61 78 ${publish} 30`)).toEqual([3, 1])
})

test('what is left of a pause has a new number each time that it is read on, for the time of a packet begins anew there', () => {
  const handed: number[] = []
  const sink = {
    onPacket: () => {},
    onPublish: ({ end, start }: { start: number; end: number }) => {
      handed.push(end - start)
      decoder.pause()
    },
  }
  const decoder: PacketDecoder = new PacketDecoder(sink, { maximumPacketSize: 1000, receiver: 'client' })
  const small = '300400016178'
  const bytes = Buffer.from(`${small.repeat(4)}30c801000161${'00'.repeat(100)}`, 'hex')
  decoder.feed(bytes, 0, bytes.length)
  const seen: [number, number][] = [[decoder.begun, decoder.pendingBytes]]
  for (let i = 0; i < 4; i++) {
    decoder.resume()
    seen.push([decoder.begun, decoder.pendingBytes])
  }
  expect(handed).toEqual([6, 6, 6, 6])
  expect(seen).toEqual([
    [1, 124],
    [2, 118],
    [3, 112],
    [4, 106],
    [5, 106],
  ])
})
