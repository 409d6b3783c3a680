import { describe, expect, test } from 'vitest'
import { PacketType } from '../../core/protocol/constants.ts'
import type { Rights } from '../../core/publisher.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Config } from '../../presets/index.ts'
import { settled, startBroker } from '../support/broker.ts'
import { onLaterStore } from '../support/later-store.ts'

// Goal: rights that are taken away are gone, wherever something was granted by them: subscriptions, queues, wills, retained messages,
// handshakes half-way. Method: clients whose rights stand under their user name, on a store that answers at once and on one that
// answers later.

const { NotAuthorized, NoMatchingSubscribers } = ReasonCode
const all: Rights = { authorizedSub: ['#'], authorizedPub: ['#'] }
const onlyA: Rights = { authorizedSub: ['a/#'], authorizedPub: ['a/#'] }
const persistent = { version: 5, cleanStart: false, properties: { sessionExpiry: 3600 } } as const

async function start(config: Config) {
  const broker = await startBroker({ ...config, enableTopicSubPubSecure: true })
  /** What the authentication answers from now on, by user name. */
  const rights: Record<string, Rights> = {}
  broker.hooks.onAuthenticate.tap('test', (_client, { username }) => ({ rights: rights[username ?? ''] ?? all }))
  const drops: string[] = []
  broker.hooks.onDrop.tap('test', (clientId, { topic }, reason) => void drops.push(`${clientId} ${topic} ${reason}`))
  const writer = await broker.connect({ clientId: 'writer', username: 'writer', version: 5 })
  const publish = async (...topics: string[]) => {
    for (const topic of topics) await writer.publish(topic, topic, { qos: 1 })
  }
  return { ...broker, rights, drops, writer, publish }
}

describe.each([
  ['a store that answers at once', {} as Config],
  ['a store that answers later', onLaterStore()],
])('on %s', (_name, config) => {
  describe('setRights', () => {
    test('takes subscriptions away that are no longer covered, by client id', async () => {
      const { connect, running, publish, hooks } = await start(config)
      const gone: string[] = []
      hooks.onUnsubscribed.tap('test', (_client, { filter }) => void gone.push(filter))
      const device = await connect({ ...persistent, clientId: 'd' })
      const other = await connect({ clientId: 'e' })
      for (const one of [device, other]) await one.subscribe(['a/x', 'b', '#', '$share/g/b'], 1)
      expect(running.setRights('d', onlyA)).toBe(1)
      expect(gone).toEqual(['b', '#', '$share/g/b'])
      await publish('a/x', 'b')
      expect((await device.receive()).topic).toBe('a/x')
      expect(await device.payloads()).toEqual([])
      expect((await other.payloads()).filter(topic => topic === 'b').length).toBeGreaterThan(0)
      expect(await device.subscribe(['a/y', 'b'])).toEqual([0, NotAuthorized])
      expect((await device.publish('b', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
    })

    test('gives all clients of a user other rights, and says how many', async () => {
      const { connect, running, broker } = await start(config)
      for (const clientId of ['d1', 'd2']) await (await connect({ clientId, username: 'u' })).subscribe(['a/x', 'b'])
      await (await connect({ clientId: 'e', username: 'v' })).subscribe('b')
      expect(running.setRights({ username: 'u' }, onlyA)).toBe(2)
      const held = (clientId: string) => [...broker.roster.get(clientId)!.subscriptions.keys()]
      expect([held('d1'), held('d2'), held('e')]).toEqual([['a/x'], ['a/x'], ['b']])
      expect(running.setRights({ clientId: 'nobody' }, null)).toBe(0)
    })

    test('gives rights as well as it takes them', async () => {
      const { connect, running, rights } = await start(config)
      rights.u = { authorizedSub: [], authorizedPub: [] }
      const device = await connect({ clientId: 'd', username: 'u', version: 5 })
      expect(await device.subscribe('b')).toEqual([NotAuthorized])
      running.setRights('d', all)
      expect(await device.subscribe('b')).toEqual([0])
      expect((await device.publish('b', '', { qos: 1 }))?.reasonCode).toBe(0)
      running.setRights('d', null)
      expect((await device.publish('b', '', { qos: 1 }))?.reasonCode).toBe(NotAuthorized)
    })

    test('drops what waits behind a full window, and lets the rest go in order', async () => {
      for (const kind of [
        { version: 5, properties: { receiveMaximum: 1 } } as const,
        { ...persistent, properties: { sessionExpiry: 3600, receiveMaximum: 1 } },
      ]) {
        const { connect, running, publish, drops } = await start(config)
        const device = await connect({ ...kind, clientId: 'd' })
        await device.subscribe('+/#', 1)
        await publish('a/1', 'b/2', 'a/3', 'b/4', 'a/5')
        const first = await device.message()
        // The filter stays covered: it is the messages that are looked at.
        running.setRights('d', { authorizedSub: ['+/#', 'a/#'] })
        expect(drops).toEqual([])
        running.setRights('d', { authorizedSub: ['a/#'] })
        device.ack(PacketType.Puback, first.packetId)
        expect([(await device.receive()).topic, (await device.receive()).topic]).toEqual(['a/3', 'a/5'])
        await settled()
        expect(drops).toEqual(['d b/2 notAuthorized', 'd b/4 notAuthorized'])
        expect(await device.payloads()).toEqual([])
      }
    })

    test('hands what waited for a member of a shared group to the others', async () => {
      const { connect, running, publish, drops } = await start(config)
      const device = await connect({ version: 5, clientId: 'd', properties: { receiveMaximum: 1 } })
      await device.subscribe('$share/g/b/#', 1)
      await publish('b/1', 'b/2', 'b/3')
      expect((await device.message()).topic).toBe('b/1')
      const heir = await connect({ clientId: 'e' })
      await heir.subscribe('$share/g/b/#', 1)
      running.setRights('d', onlyA)
      expect([(await heir.receive()).topic, (await heir.receive()).topic]).toEqual(['b/2', 'b/3'])
      expect(drops).toEqual([])
    })

    test('reaches a session without a connection: it routes nothing more, and gets nothing of what waits when it comes back', async () => {
      const { connect, running, publish, drops, broker, rights } = await start(config)
      const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
      await device.subscribe(['a/#', 'b/#'], 1)
      device.drop()
      await device.closed
      await settled()
      await publish('a/1', 'b/1', 'a/2')
      expect(running.setRights({ username: 'u' }, onlyA)).toBe(1)
      expect([...broker.roster.get('d')!.subscriptions.keys()]).toEqual(['a/#'])
      await settled()
      await publish('b/2', 'a/3')
      rights.u = onlyA
      const back = await connect({ ...persistent, clientId: 'd', username: 'u' })
      expect([(await back.receive()).topic, (await back.receive()).topic, (await back.receive()).topic]).toEqual(['a/1', 'a/2', 'a/3'])
      await settled()
      expect(drops).toEqual(['d b/1 notAuthorized'])
      // And the store has forgotten it too.
      back.drop()
      await back.closed
      const again = await connect({ ...persistent, clientId: 'd', username: 'u' })
      expect(await again.payloads()).toEqual([])
    })

    test('holds for a subscription that is on its way to the store', async () => {
      const { connect, running, publish, broker } = await start(config)
      const device = await connect({ ...persistent, clientId: 'd' })
      const subscribing = device.subscribe(['a', 'b'])
      await settled()
      running.setRights('d', { authorizedSub: ['a'] })
      await subscribing
      await settled()
      await publish('b')
      expect([...broker.roster.get('d')!.subscriptions.keys()]).toEqual(['a'])
      expect(await device.payloads()).toEqual([])
    })

    test('holds for a publish whose verdict is awaited', async () => {
      const { connect, running, hooks } = await start(config)
      let decide = (): void => {}
      hooks.onPublish.tapPromise('test', () => new Promise<undefined>(resolve => (decide = () => resolve(undefined))))
      const device = await connect({ version: 5, clientId: 'd' })
      for (const qos of [1, 2] as const) {
        running.setRights('d', all)
        const answer = device.publish('b', '', { qos })
        await settled()
        running.setRights('d', onlyA)
        decide()
        expect((await answer)?.reasonCode).toBe(NotAuthorized)
      }
    })

    test('refuses what is no rights', async () => {
      const { running } = await start(config)
      for (const wrong of [undefined, 'all', { authorizedSub: '#' }, { authorizedPub: [1] }])
        expect(() => running.setRights('d', wrong as never)).toThrow(/rights are \{ authorizedPub, authorizedSub \}/)
    })
  })

  describe('a session that is resumed', () => {
    test('loses the subscriptions that its client may no longer have, before anything else is sent', async () => {
      const { connect, publish, rights, drops, broker } = await start(config)
      const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
      await device.subscribe(['a/#', 'b', '$share/g/b'], 1)
      device.drop()
      await device.closed
      await settled()
      await publish('b', 'a/1')
      rights.u = onlyA
      const back = await connect({ ...persistent, clientId: 'd', username: 'u' })
      expect((await back.receive()).topic).toBe('a/1')
      await publish('b', 'a/2')
      expect((await back.receive()).topic).toBe('a/2')
      expect([...broker.roster.get('d')!.subscriptions.keys()]).toEqual(['a/#'])
      await settled()
      expect(drops.filter(drop => !drop.includes('noMember'))).toEqual(['d b notAuthorized'])
      // Taken away for good, though the rights come back.
      back.drop()
      await back.closed
      rights.u = all
      const again = await connect({ ...persistent, clientId: 'd', username: 'u' })
      await publish('b')
      expect(await again.payloads()).toEqual([])
    })

    test('by somebody else gives him nothing of what the first one had', async () => {
      const { connect, publish, rights } = await start({ ...config, mqtt: { clientIdOwner: 'anyone' } })
      rights.owner = { authorizedSub: ['owner/#'] }
      rights.thief = { authorizedSub: ['thief/#'] }
      const owner = await connect({ ...persistent, clientId: 'd', username: 'owner' })
      await owner.subscribe('owner/#', 1)
      owner.drop()
      await owner.closed
      await settled()
      await publish('owner/secret')
      const thief = await connect({ ...persistent, clientId: 'd', username: 'thief' })
      await publish('owner/secret')
      expect(await thief.payloads()).toEqual([])
    })

    test('with messages in flight gets only those again that it may have', async () => {
      for (const qos of [1, 2] as const) {
        const { connect, writer, rights, drops } = await start(config)
        const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
        await device.subscribe('#', qos)
        for (const topic of ['a/1', 'b/2']) await writer.publish(topic, topic, { qos })
        const sent = [await device.message(), await device.message()]
        expect(sent.map(({ topic }) => topic)).toEqual(['a/1', 'b/2'])
        device.drop()
        await device.closed
        await settled()
        rights.u = onlyA
        const back = await connect({ ...persistent, clientId: 'd', username: 'u' })
        const again = await back.receive()
        expect(again).toMatchObject({ topic: 'a/1', dup: true, packetId: sent[0]!.packetId })
        expect(await back.payloads()).toEqual([])
        expect(drops).toEqual(['d b/2 notAuthorized'])
      }
    })

    test('ends a handshake of which the client has the message already', async () => {
      const { connect, writer, rights, drops } = await start(config)
      const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
      await device.subscribe('b', 2)
      await writer.publish('b', 'b', { qos: 2 })
      const { packetId } = await device.message()
      device.ack(PacketType.Pubrec, packetId)
      await device.next(PacketType.Pubrel)
      device.drop()
      await device.closed
      await settled()
      rights.u = onlyA
      const back = await connect({ ...persistent, clientId: 'd', username: 'u' })
      expect(await back.next(PacketType.Pubrel)).toMatchObject({ packetId })
      expect(drops).toEqual([])
    })

    test('publishes nothing more by a QoS 2 handshake that was half done when its rights went', async () => {
      const { connect, rights, hooks } = await start(config)
      const routed: string[] = []
      hooks.onRoute.tap('test', ({ topic }) => void routed.push(topic))
      const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
      const { packetId } = device.sendPublish('b', 'x', { qos: 2 })
      expect(await device.next(PacketType.Pubrec)).toMatchObject({ reasonCode: NoMatchingSubscribers })
      device.drop()
      await device.closed
      await settled()
      rights.u = onlyA
      const back = await connect({ ...persistent, clientId: 'd', username: 'u' })
      back.sendPublish('b', 'x', { qos: 2, packetId, dup: true })
      await back.next(PacketType.Pubrec)
      back.ack(PacketType.Pubrel, packetId)
      await back.next(PacketType.Pubcomp)
      expect(routed).toEqual(['b'])
      // A new message is judged by the new rights.
      expect((await back.publish('b', 'x', { qos: 2, packetId: packetId + 1 }))?.reasonCode).toBe(NotAuthorized)
    })

    test('with thousands of subscriptions holds nobody up, and loses them all the same', async () => {
      const { connect, rights, broker, writer } = await start(config)
      const device = await connect({ ...persistent, clientId: 'd', username: 'u' })
      const filters = Array.from({ length: 3000 }, (_, i) => `${i % 2 === 0 ? 'a' : 'b'}/${i}`)
      await device.subscribe(filters)
      device.drop()
      await device.closed
      await settled()
      rights.u = onlyA
      const back = connect({ ...persistent, clientId: 'd', username: 'u' })
      // Another client has its answer long before the last slice.
      await writer.rest()
      await back
      expect(broker.roster.get('d')!.subscriptions.size).toBe(1500)
    })
  })

  describe('a will', () => {
    test('goes nowhere once its client may not publish there: after setRights, and after a delay', async () => {
      for (const willDelay of [0, 10]) {
        const { connect, running, advance, drops } = await start(config)
        const reader = await connect({ clientId: 'reader' })
        await reader.subscribe('#', 1)
        for (const topic of ['a/gone', 'b/gone']) {
          const device = await connect({
            ...persistent,
            clientId: topic,
            username: 'u',
            will: { topic, qos: 1, properties: { willDelay } },
          })
          if (willDelay === 0) running.setRights({ username: 'u' }, onlyA)
          device.drop()
          await device.closed
          await settled()
        }
        // The second time the sessions have no connection any more.
        running.setRights({ username: 'u' }, onlyA)
        await advance(11_000)
        // A store that answers later is asked again at the next second.
        await advance(1000)
        await settled()
        expect((await reader.receive()).topic).toBe('a/gone')
        expect(await reader.payloads()).toEqual([])
        expect(drops).toEqual(['b/gone b/gone refused'])
      }
    })
  })

  describe('a retained message', () => {
    test('is withheld from new subscribers once he who published it may no longer do so', async () => {
      const { connect, running, writer, drops } = await start(config)
      for (const topic of ['a/state', 'b/state']) await writer.publish(topic, topic, { qos: 1, retain: true })
      running.setRights('writer', onlyA)
      const reader = await connect({ clientId: 'reader' })
      await reader.subscribe('#', 1)
      expect((await reader.receive()).topic).toBe('a/state')
      expect(await reader.payloads()).toEqual([])
      expect(drops).toEqual(['reader b/state notAuthorized'])
    })

    test('of the broker itself, or of somebody who is gone for good, is sent', async () => {
      const { connect, running, writer } = await start(config)
      await writer.publish('b/1', 'x', { qos: 1, retain: true })
      await running.publish({ topic: 'b/2', payload: 'x', retain: true })
      writer.disconnect()
      await writer.closed
      const reader = await connect({ clientId: 'reader' })
      await reader.subscribe('#', 1)
      expect([(await reader.receive()).topic, (await reader.receive()).topic].sort()).toEqual(['b/1', 'b/2'])
    })
  })

  test('re-authentication with fewer rights takes away what they no longer cover', async () => {
    const { open, hooks, publish, broker } = await start(config)
    let given = all
    hooks.onAuth.tap('test', () => ({ admission: { rights: given } }))
    const device = open(5)
    const properties = { authenticationMethod: 'm' }
    await device.connect({ version: 5, clientId: 'd', properties })
    await device.subscribe(['a/#', 'b'], 1)
    given = onlyA
    device.send({ type: PacketType.Auth, reasonCode: ReasonCode.ReAuthenticate, properties })
    await device.next(PacketType.Auth)
    expect([...broker.roster.get('d')!.subscriptions.keys()]).toEqual(['a/#'])
    await publish('b', 'a/1')
    expect((await device.receive()).topic).toBe('a/1')
  })
})
