import assert from 'node:assert/strict'
import type { Properties } from '../../../core/protocol/packets.ts'
import type { QueueEntry } from '../../../core/sessions/session-store.ts'
import type { SessionsCase } from './sessions.ts'
import { messageOf, saysOf } from './sessions-harness.ts'

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

const everyProperty: Properties = {
  payloadFormat: 0,
  messageExpiry: 4_000_000_000,
  contentType: 'text/größe',
  responseTopic: 'answers/☃',
  correlationData: everyByte,
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
    ['', ''],
  ],
}

/** What is appended comes in order, whole, and a page at a time. */
export function queueCases(test: SessionsCase): void {
  test('queue in the order of the appends, for many at once, and nothing for whom there is not', async h => {
    const [c, d] = [await h.claim(), await h.claim({ clientId: 'd' })]
    await h.append(
      '1',
      {},
      { clientId: 'd', qos: 2, retain: true, identifiers: [7, 268_435_455], group: 'g/a/+/#' },
      { clientId: 'nobody' },
    )
    await h.append('2', {})
    assert.deepEqual(await h.payloads(c), ['1', '2'])
    const [entry] = await h.page(d)
    const { position, message, ...rest } = entry!
    assert.ok(position > 0)
    assert.equal(message.payload.toString(), '1')
    assert.deepEqual(rest, { qos: 2, retain: true, identifiers: [7, 268_435_455], group: 'g/a/+/#', packetId: 0, released: false })
    assert.deepEqual(h.dropped, ['nobody 1 sessionEnded'])
  })

  test('keep a message twice for a session that it reaches by a subscription of its own and through a group, each with its own handshake', async h => {
    const session = await h.claim()
    await h.append('waits', {}, { group: 'g/a' })
    await h.append('sent', { packetId: 1 }, { group: 'g/a', packetId: 2, qos: 2 })
    const entries = await h.page(session)
    assert.deepEqual(
      entries.map(({ message, group, packetId }) => [message.payload.toString(), group, packetId]),
      [
        ['waits', null, 0],
        ['waits', 'g/a', 0],
        ['sent', null, 1],
        ['sent', 'g/a', 2],
      ],
    )
    await h.store.ack(session, 1)
    await h.store.remove(session, entries[0]!.position)
    assert.deepEqual(await h.flight(session), [
      [0, false],
      [2, false],
    ])
    assert.deepEqual((await h.claim()).queued.messages, 2)
  })

  test('keep each of 70,000 subscription identifiers that a message came by', async h => {
    const session = await h.claim()
    const identifiers = Array.from({ length: 70_000 }, (_, i) => i + 1)
    await h.append('1', { identifiers, group: 'g/a' })
    await h.append('2', { identifiers: identifiers.slice(0, 65_535) })
    const [first, second] = await h.page(session)
    assert.deepEqual(first!.identifiers, identifiers)
    assert.equal(first!.group, 'g/a')
    assert.equal(first!.message.payload.toString(), '1')
    assert.equal(second!.identifiers?.length, 65_535)
  })

  test('that have ended get nothing more, and say so', async h => {
    await h.store.end(await h.claim())
    await h.append('late', {})
    assert.deepEqual(h.dropped, ['c late sessionEnded'])
    assert.deepEqual(await h.page(await h.claim()), [])
  })

  for (const [what, payload, fields] of [
    ['whose payload is empty', Buffer.alloc(0), {}],
    ['whose payload holds every byte', everyByte, {}],
    ['of a mebibyte', Buffer.alloc(1_048_576, everyByte), {}],
    ['with every property', Buffer.from('x'), { properties: everyProperty }],
    ['on a long topic of many scripts', Buffer.from('x'), { topic: 'größe/☃/𝄞/'.repeat(100) }],
    ['of the broker itself', Buffer.from('x'), { origin: 'server', clientId: '', qos: 1, retain: true }],
    ['that is a will', Buffer.from('x'), { origin: 'will', clientId: 'gone', qos: 0 }],
  ] as const) {
    test(`keep a message ${what} as it is`, async h => {
      const session = await h.claim()
      const sent = messageOf(payload, { receivedAt: h.clock.now(), ...fields })
      await h.store.append(sent, [h.target({ qos: sent.qos })], null)
      const [entry] = await h.page(await h.claim())
      assert.deepEqual(saysOf(entry!.message), saysOf(sent))
      assert.equal(entry!.qos, sent.qos)
      assert.equal(session.present, false)
    })
  }

  test('keep one message for a thousand of them', async h => {
    const ids = Array.from({ length: 1000 }, (_, i) => `c${i}`)
    const sessions = await Promise.all(ids.map(clientId => h.claim({ clientId })))
    await h.append('for all', ...ids.map(clientId => ({ clientId })))
    for (const session of [sessions[0]!, sessions[500]!, sessions[999]!]) assert.deepEqual(await h.payloads(session), ['for all'])
    // One that is done with it takes it from nobody else.
    await h.store.remove(sessions[0]!, (await h.page(sessions[0]!))[0]!.position)
    await h.store.end(sessions[500]!)
    assert.deepEqual(await h.payloads(sessions[999]!), ['for all'])
  })

  test('are read a page at a time, and a page shows all writes called before it', async h => {
    const session = await h.claim()
    for (let i = 0; i < 10; i++) void h.store.append(messageOf(String(i)), [h.target()], null)
    const pages: string[] = []
    let position = 0
    for (let i = 0; i < 4; i++) {
      const entries = await h.page(session, position, 4)
      position = entries.at(-1)?.position ?? position
      pages.push(entries.map(({ message }) => message.payload.toString()).join(''))
    }
    assert.deepEqual(pages, ['0123', '4567', '89', ''])
  })

  test('are read in order while more is appended and what was read goes', async h => {
    const session = await h.claim()
    const read: string[] = []
    let position = 0
    let appended = 0
    const more = async (count: number) => {
      for (let i = 0; i < count; i++, appended++) await h.append(String(appended), {})
    }
    await more(10)
    for (;;) {
      const [entries] = await Promise.all([h.page(session, position, 7), appended < 60 ? more(5) : undefined])
      if (entries.length === 0 && appended >= 60) break
      for (const entry of entries) {
        read.push(entry.message.payload.toString())
        position = entry.position
        await h.store.remove(session, entry.position)
      }
    }
    assert.deepEqual(
      read,
      Array.from({ length: 60 }, (_, i) => String(i)),
    )
  })

  test('come in order, ten thousand of them, from the beginning and from anywhere', async h => {
    const session = await h.claim()
    const writes: unknown[] = []
    for (let i = 0; i < 10_000; i++) writes.push(h.store.append(messageOf(String(i)), [h.target()], null))
    await Promise.all(writes)
    const entries: QueueEntry[] = []
    for (let page = await h.page(session, 0, 1000); page.length > 0; page = await h.page(session, entries.at(-1)!.position, 1000))
      entries.push(...page)
    assert.equal(entries.length, 10_000)
    for (const [i, { message, position }] of entries.entries()) {
      assert.equal(message.payload.toString(), String(i))
      if (i > 0) assert.ok(position > entries[i - 1]!.position)
    }
    const [after] = await h.page(session, entries[7654]!.position, 1)
    assert.equal(after!.message.payload.toString(), '7655')
  })

  test('answer the writes to one of them in the order of the calls', async h => {
    const session = await h.claim()
    const answered: number[] = []
    const writes: unknown[] = []
    for (let i = 0; i < 30; i++) {
      const call = [
        () => h.store.append(messageOf(String(i)), [h.target({ packetId: i + 1 })], null),
        () => h.store.ack(session, i),
        () => h.store.send(session, i, 100 + i),
      ][i % 3]!
      const done = call()
      if (done === undefined) answered.push(i)
      else writes.push(done.then(() => answered.push(i)))
    }
    await Promise.all(writes)
    assert.deepEqual(
      answered,
      Array.from({ length: 30 }, (_, i) => i),
    )
  })

  test('say of a message that expired in them that it did, or leave that to the reader', async h => {
    const session = await h.claim()
    const short = messageOf('short', { properties: { messageExpiry: 10 }, receivedAt: h.clock.now() })
    await h.store.append(short, [h.target()], null)
    await h.append('long', {})
    h.clock.advance(10_001)
    const payloads = await h.payloads(session)
    assert.deepEqual(h.dropped, payloads.includes('short') ? [] : ['c short expired'])
    assert.equal(payloads.at(-1), 'long')
  })
}
