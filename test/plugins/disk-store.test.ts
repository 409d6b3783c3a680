import { statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { AppendTarget, ClaimRequest, QueueLimits, SessionKey } from '../../core/sessions/session-store.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf, subscriptionOf, willOf } from '../contracts/suite/sessions-harness.ts'
import { TestDisk } from '../support/disk.ts'

let clock: ManualClock
let disk: TestDisk
let dropped: string[]

beforeEach(async () => {
  clock = new ManualClock()
  disk = await new TestDisk(clock).open()
  const used = disk
  onTestFinished(() => used.dispose())
  listen()
})

const sessions = () => disk.store.sessions

function listen(limits: Partial<QueueLimits> = {}): void {
  dropped = []
  sessions().open(
    {
      dropped: (clientId, { payload }, reason) => void dropped.push(`${clientId} ${payload} ${reason}`),
      lost: () => {},
      appended: () => {},
    },
    { messagesMax: 100_000, bytesMax: 64 * 1024 * 1024, whenFull: 'dropNewest', ...limits },
  )
}

async function claim(clientId = 'c', request: Partial<ClaimRequest> = {}) {
  const given = await sessions().claim({
    clientId,
    node: 1,
    user: null,
    userOnly: false,
    cleanStart: false,
    expiryMs: 60_000,
    will: null,
    ...request,
  })
  return { ...given, clientId }
}

function target(clientId = 'c', fields: Partial<AppendTarget> = {}): AppendTarget {
  return { clientId, qos: 1, retain: false, identifiers: null, group: null, packetId: 0, epoch: 0, ...fields }
}

async function payloads(session: SessionKey, position = 0, limit = 1000): Promise<string[]> {
  return (await sessions().page(session, position, limit)).map(({ message }) => message.payload.toString())
}

const append = (payload: string, ...targets: AppendTarget[]) => sessions().append(messageOf(payload), targets, null)
const fileBytes = () => statSync(join(disk.path, 'data.mdb')).size

describe('bodies', () => {
  test('a mebibyte for 500 absent sessions is stored once: the file grows by less than 5 MiB', async () => {
    const ids = Array.from({ length: 500 }, (_, i) => `c${i}`)
    await Promise.all(ids.map(id => claim(id)))
    const before = fileBytes()
    const large = messageOf(Buffer.alloc(1_048_576, 'x'))
    await sessions().append(
      large,
      ids.map(id => target(id)),
      null,
    )
    expect(fileBytes() - before).toBeLessThan(5 * 1_048_576)
    await disk.crash()
    listen()
    for (const id of ['c0', 'c499']) expect(await payloads(await claim(id))).toEqual([large.payload.toString()])
  })

  test('a body goes with the last of its references, however they go and whatever lies in between', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e']
    for (const id of ids) await claim(id)
    listen({ messagesMax: 1, whenFull: 'dropOldest' })
    const before = fileBytes()
    const rounds = 40
    for (let round = 0; round < rounds; round++) {
      // The next body pushes the one before out of all queues; some in the same batch, some later, some over a restart.
      await sessions().append(
        messageOf(Buffer.alloc(1_048_576, String(round))),
        ids.map(id => target(id)),
        null,
      )
      if (round % 10 === 9) {
        await disk.crash()
        listen({ messagesMax: 1, whenFull: 'dropOldest' })
      }
      const owner = await claim('a')
      const [entry] = await sessions().page(owner, 0, 1)
      await sessions().remove(owner, entry!.position)
      const other = await claim('b')
      await sessions().end(other)
      await claim('b')
    }
    // 40 MiB have come and all but the last gone: pages are used again.
    expect(fileBytes() - before).toBeLessThan(12 * 1_048_576)
    expect(await payloads(await claim('e'))).toEqual([Buffer.alloc(1_048_576, String(rounds - 1)).toString()])
  })

  test('references that go before their body is on the disk take it with them', async () => {
    listen({ messagesMax: 1, whenFull: 'dropOldest' })
    for (const id of ['a', 'b']) await claim(id)
    const all = Array.from({ length: 20 }, (_, i) => append(String(i), target('a'), target('b')))
    await Promise.all(all)
    expect(dropped).toHaveLength(38)
    expect(await payloads(await claim('a'))).toEqual(['19'])
    await disk.crash()
    listen()
    expect(await payloads(await claim('b'))).toEqual(['19'])
  })
})

describe('queues', () => {
  test('ten thousand come back in order after a crash, a page at a time, each while more is appended', async () => {
    await claim()
    const writes: unknown[] = []
    for (let i = 0; i < 10_000; i++) writes.push(append(String(i), target()))
    await Promise.all(writes)
    await disk.crash()
    listen()
    const session = await claim()
    expect(session.queued.messages).toBe(10_000)
    const read: string[] = []
    for (let position = 0; read.length < 10_100; ) {
      const entries = await sessions().page(session, position, 100)
      position = entries.at(-1)!.position
      for (const { message, position } of entries) {
        read.push(message.payload.toString())
        void sessions().remove(session, position)
      }
      if (read.length <= 10_000) void append(String(9999 + read.length / 100), target())
    }
    expect(read).toEqual(Array.from({ length: 10_100 }, (_, i) => String(i)))
    expect((await claim()).queued).toEqual({ messages: 0, bytes: 0 })
  })

  test('drop their oldest in order, also those that are not on the disk yet, and never what is in flight', async () => {
    listen({ messagesMax: 5, whenFull: 'dropOldest' })
    const session = await claim()
    const { epoch } = session
    await append('flies', target('c', { packetId: 1, epoch }))
    await append('kept', target())
    const writes = Array.from({ length: 10 }, (_, i) => append(String(i), target()))
    await Promise.all(writes)
    expect(dropped).toEqual(['c kept queueFull', ...[0, 1, 2, 3, 4, 5].map(i => `c ${i} queueFull`)])
    expect(await payloads(session)).toEqual(['flies', '6', '7', '8', '9'])
    // Sent since they were found to be the oldest.
    const [, six, seven] = await sessions().page(session, 0, 10)
    await append('10', target())
    await sessions().send(session, seven!.position, 2)
    expect(dropped.at(-1)).toBe('c 6 queueFull')
    expect(six!.message.payload.toString()).toBe('6')
    await append('11', target())
    expect(dropped.at(-1)).toBe('c 8 queueFull')
    expect(await payloads(session)).toEqual(['flies', '7', '9', '10', '11'])
  })

  test('of thousands of absent sessions are left out of memory and counted anew when they are needed', async () => {
    // Each weighs more than what may stay in memory of all, divided by their number.
    const ids = Array.from({ length: 3000 }, (_, i) => `c${i}`)
    await Promise.all(
      ids.map(async id => {
        const { epoch } = await claim(id)
        await Promise.all(Array.from({ length: 70 }, (_, n) => append(`${n}`, target(id, { packetId: n + 1, epoch }))))
        await sessions().close({ clientId: id, epoch }, 60_000, false)
      }),
    )
    listen({ messagesMax: 71 })
    await disk.restart()
    listen({ messagesMax: 71 })
    const more = await Promise.all(ids.map(id => append('70', target(id))))
    expect(more).toHaveLength(3000)
    await Promise.all(ids.map(id => append('71', target(id))))
    expect(dropped).toHaveLength(3000)
    const again = await claim('c7')
    expect(again.queued.messages).toBe(71)
    const entries = await sessions().page(again, 0, 100)
    expect(entries.map(({ packetId }) => packetId)).toEqual([...Array.from({ length: 70 }, (_, n) => n + 1), 0])
  })
})

describe('after a crash', () => {
  test('a session whose ending was cut short is handed out again, with its will and what belongs to a group, and then no more', async () => {
    const session = await claim('c', { will: willOf('w', 1000) })
    await append('shared', target('c', { group: 'g/a' }))
    await sessions().subscribe(session, [subscriptionOf('$share/g/a')])
    // Its ending is on the disk when it is answered; that it was handed on is not yet, in the same turn.
    await sessions().end(session)
    await disk.crashNow()
    listen()
    const [found, ...others] = await sessions().expire(clock.now(), 10)
    expect(others).toEqual([])
    expect(found).toMatchObject({ kind: 'expired', session: { clientId: 'c', will: { delayMs: 1000 } } })
    expect(found?.kind === 'expired' && found.session.shared.map(({ message }) => message.payload.toString())).toEqual(['shared'])
    await disk.crash()
    listen()
    expect(await sessions().expire(clock.now(), 10)).toEqual([])
    expect((await claim()).present).toBe(false)
  })

  test('expiry of those that were connected counts from the last sign of life, which comes every few seconds though nobody writes', async () => {
    await claim('c', { expiryMs: 60_000 })
    clock.advance(50_000)
    await sessions().flush()
    await disk.crash()
    listen()
    clock.advance(54_000)
    expect(await sessions().expire(clock.now(), 10)).toEqual([])
    clock.advance(6000)
    expect(await sessions().expire(clock.now(), 10)).toMatchObject([{ kind: 'expired', session: { clientId: 'c' } }])
  })

  test('another crash does not set the clock back', async () => {
    await claim('c', { expiryMs: 60_000 })
    for (let i = 0; i < 3; i++) {
      await disk.crash()
      listen()
      await claim('other')
      clock.advance(20_000)
      await sessions().flush()
    }
    expect(await sessions().expire(clock.now(), 10)).toMatchObject([{ kind: 'expired', session: { clientId: 'c' } }])
  })

  test('epochs, and with them everything that has a number, go on rising, crash after crash', async () => {
    let last = 0
    for (let i = 0; i < 5; i++) {
      const { epoch } = await claim(`c${i}`)
      expect(epoch).toBeGreaterThan(last)
      last = epoch
      await append(String(i), target('c0'))
      await disk.crash()
      listen()
    }
    expect(await payloads(await claim('c0'))).toEqual(['0', '1', '2', '3', '4'])
  })
})

test("what comes while a new session is begun, by what the one before had subscribed to, is not the new one's", async () => {
  const before = await claim()
  const claiming = claim('c', { cleanStart: true })
  await append('late', target('c', { epoch: before.epoch }))
  const session = await claiming
  expect(dropped).toEqual(['c late sessionEnded'])
  expect(await payloads(session)).toEqual([])
  await append('new', target('c', { epoch: session.epoch }))
  expect(await payloads(session)).toEqual(['new'])
})

test('after a start the sessions that are stored still get what comes by what they had subscribed to', async () => {
  await sessions().subscribe(await claim(), [subscriptionOf('t')])
  await disk.restart()
  listen()
  const [stored] = [...sessions().sessions()]
  await append('1', target('c', { epoch: stored!.epoch ?? 0 }))
  expect(await payloads(await claim())).toEqual(['1'])
})

test('a session that ends with its connection never comes near the disk', async () => {
  await sessions().flush()
  const before = disk.commits
  for (let i = 0; i < 100; i++) {
    expect(
      sessions().claim({ clientId: `clean${i}`, node: 1, user: null, userOnly: false, cleanStart: true, expiryMs: 0, will: null }),
    ).not.toBeInstanceOf(Promise)
  }
  await sessions().flush()
  expect(disk.commits - before).toBeLessThanOrEqual(1)
})

test('filters and client ids as long as MQTT allows are kept, and told apart at their very end', async () => {
  const long = (end: string) => `${'f'.repeat(65_534)}${end}`
  const session = await claim(long('c'))
  await sessions().subscribe(session, [subscriptionOf(long('a')), subscriptionOf(long('b')), subscriptionOf(long('a'), 2)])
  await disk.crash()
  listen()
  const { present, subscriptions } = await claim(long('c'))
  expect(present).toBe(true)
  expect(new Map(subscriptions.map(({ filter, qos }) => [filter, qos]))).toEqual(
    new Map([
      [long('a'), 2],
      [long('b'), 1],
    ]),
  )
})

describe('totals', () => {
  const counted = async (): Promise<{ messages: number; bytes: number }> => {
    let [messages, bytes] = [0, 0]
    for (const { queued } of (await sessions().list(null, 1000)).sessions) {
      messages += queued.messages
      bytes += queued.bytes
    }
    return { messages, bytes }
  }

  async function fill(): Promise<void> {
    for (const clientId of ['c', 'd', 'e', 'ends', 'expires']) {
      const session = await claim(clientId)
      await Promise.all(Array.from({ length: 1200 }, (_, i) => append(`${i}`, target(clientId))))
      await sessions().close(session, clientId === 'expires' ? 1000 : 600_000, false)
    }
  }

  test('are known at once after a stop in order, and true whatever came before and comes behind it', async () => {
    await fill()
    const before = await sessions().totals()
    for (let again = 0; again < 2; again++) {
      await disk.restart()
      listen()
      expect(sessions().totals()).toEqual(before)
    }
    await append('more', target('c'), target('d'))
    expect(sessions().totals()).toMatchObject({ messages: before.messages + 2 })
    await disk.crash()
    listen()
    expect((await sessions().totals()).messages).toBe(before.messages + 2)
    expect(await sessions().totals()).toMatchObject(await counted())
  })

  test('are counted after a crash while queues change, are loaded, and end', async () => {
    await fill()
    await disk.crash()
    listen()
    const ends = await claim('ends')
    const totals = sessions().totals()
    expect(totals).toBeInstanceOf(Promise)
    const changes = [append('more', target('c'), target('d')), sessions().end(ends), claim('e', { cleanStart: true }), totals]
    clock.advance(1000)
    await Promise.all([...changes, sessions().expire(clock.now(), 10), sessions().list(null, 1000)])
    expect(await sessions().totals()).toEqual({ sessions: 3, ...(await counted()) })
    expect(await counted()).toMatchObject({ messages: 2402 })
    expect(sessions().totals()).not.toBeInstanceOf(Promise)
    await disk.restart()
    listen()
    expect(sessions().totals()).toEqual({ sessions: 3, ...(await counted()) })
  })
})
