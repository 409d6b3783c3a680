import assert from 'node:assert/strict'
import type { SessionsCase } from './sessions.ts'
import { messageOf } from './sessions-harness.ts'

/** Packet identifiers, of both directions, from their first use until the handshake is over. */
export function handshakeCases(test: SessionsCase): void {
  test('remember packet identifiers and releases over claims, until the handshake is over', async h => {
    const session = await h.claim()
    await h.append('1', { packetId: 10 })
    await h.append('2', { qos: 2, packetId: 11 })
    await h.append('3', {})
    const [, , waiting] = await h.page(session)
    await h.store.send(session, waiting!.position, 12)
    await h.store.release(session, 11)
    await h.store.ack(session, 10)
    const again = await h.claim()
    assert.deepEqual(await h.flight(again), [
      [11, true],
      [12, false],
    ])
    await h.store.ack(again, 11)
    await h.store.remove(again, (await h.page(again))[0]!.position)
    assert.deepEqual(await h.page(again), [])
  })

  test('take an identifier for another message as soon as the one before is acknowledged', async h => {
    const session = await h.claim()
    await h.append('first', { packetId: 1 })
    const writes = [
      h.store.ack(session, 1),
      h.store.append(messageOf('second'), [h.target({ packetId: 1 })], null),
      h.store.ack(session, 1),
      h.store.append(messageOf('third'), [h.target({ packetId: 1 })], null),
    ]
    await Promise.all(writes)
    assert.deepEqual(await h.payloads(session), ['third'])
    assert.deepEqual(await h.flight(await h.claim()), [[1, false]])
  })

  test('forget a release with the entry that was released', async h => {
    const session = await h.claim()
    await h.append('1', { qos: 2, packetId: 5 })
    await h.store.release(session, 5)
    await h.store.ack(session, 5)
    await h.append('2', { qos: 2, packetId: 5 })
    assert.deepEqual(await h.flight(session), [[5, false]])
  })

  test('keep acknowledging out of order: what is left stays in order', async h => {
    const session = await h.claim()
    for (let i = 1; i <= 6; i++) await h.append(String(i), { packetId: i })
    for (const packetId of [4, 1, 6]) await h.store.ack(session, packetId)
    assert.deepEqual(await h.payloads(session), ['2', '3', '5'])
  })

  test('let what they do not know be acknowledged, released, sent, removed and forgotten', async h => {
    const session = await h.claim()
    await h.append('stays', {})
    const { store } = h
    await store.ack(session, 77)
    await store.release(session, 77)
    await store.forget(session, 77)
    await store.send(session, 77_777, 3)
    await store.remove(session, 77_777)
    assert.deepEqual(await h.flight(session), [[0, false]])
  })

  test('remember QoS 2 identifiers with the append of their message, until they are forgotten', async h => {
    const publisher = await h.claim({ clientId: 'p' })
    const reader = await h.claim()
    await h.store.append(messageOf('x'), [h.target()], { session: publisher, packetId: 5 })
    await h.store.append(messageOf('goes nowhere'), [], { session: publisher, packetId: 65_535 })
    assert.deepEqual(
      [...(await h.claim({ clientId: 'p' })).receivedIds].sort((a, b) => a - b),
      [5, 65_535],
    )
    const owner = await h.claim({ clientId: 'p' })
    await h.store.forget(owner, 5)
    assert.deepEqual((await h.claim({ clientId: 'p' })).receivedIds, [65_535])
    assert.deepEqual(await h.payloads(reader), ['x'])
  })

  test('take a QoS 2 identifier again once it is forgotten', async h => {
    const publisher = await h.claim({ clientId: 'p' })
    const reader = await h.claim()
    const writes = [1, 2, 3].flatMap(i => [
      h.store.append(messageOf(String(i)), [h.target()], { session: publisher, packetId: 5 }),
      h.store.forget(publisher, 5),
    ])
    await Promise.all(writes)
    assert.deepEqual(await h.payloads(reader), ['1', '2', '3'])
    assert.deepEqual((await h.claim({ clientId: 'p' })).receivedIds, [])
  })

  test('keep the identifiers of both directions apart', async h => {
    const session = await h.claim()
    await h.store.append(messageOf('to itself'), [h.target({ qos: 2, packetId: 9 })], { session, packetId: 9 })
    await h.store.ack(session, 9)
    assert.deepEqual((await h.claim()).receivedIds, [9])
    const again = await h.claim()
    await h.append('more', { packetId: 9 })
    await h.store.forget(again, 9)
    assert.deepEqual(await h.flight(again), [[9, false]])
  })
}
