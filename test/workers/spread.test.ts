import { expect, onTestFinished, test } from 'vitest'
import type { AppendTarget, SessionStore, SessionStoreEvents } from '../../core/sessions/session-store.ts'
import type { DiskStore } from '../../plugins/disk/disk-store.ts'
import { fnv1a } from '../../plugins/kit/text-hash.ts'
import { ManualClock } from '../../presets/testing/manual-clock.ts'
import { messageOf } from '../core/messages.ts'
import { DiskParts } from '../support/disk-parts.ts'

// Goal: a QoS 2 message whose receivers lie in the parts of several workers comes to each of them once, wherever all workers are killed between
// its steps, and its publisher sends it again until it has its PUBREC.

const limits = { messagesMax: 100, bytesMax: 1_000_000, whenFull: 'dropNewest' } as const
const never = new Promise<never>(() => {})

/** A client id whose session lies in that part of three. */
function idIn(part: number, name: string): string {
  for (let i = 0; ; i++) if (fnv1a(`${name}-${i}`) % 3 === part - 1) return `${name}-${i}`
}

const publisher = idIn(1, 'publisher')
const receivers = [idIn(1, 'a'), idIn(2, 'b'), idIn(3, 'c'), idIn(3, 'd')]
const targets: AppendTarget[] = receivers.map(clientId => ({
  clientId,
  qos: 2,
  retain: false,
  identifiers: null,
  group: null,
  packetId: 0,
  epoch: 0,
}))

class Parts {
  readonly disk: DiskParts
  store!: SessionStore
  epoch = 0
  receivedIds: readonly number[] = []
  readonly events: SessionStoreEvents = { dropped: () => {}, lost: () => {}, appended: () => {} }

  private constructor(disk: DiskParts) {
    this.disk = disk
  }

  static async start(): Promise<Parts> {
    const parts = new Parts(await DiskParts.start(new ManualClock(), 3))
    onTestFinished(() => parts.disk.dispose())
    await parts.#open()
    for (const clientId of receivers) {
      const { epoch } = await parts.#claim(clientId)
      await parts.store.close({ clientId, epoch }, 1e9, true)
    }
    return parts
  }

  async #open(): Promise<void> {
    this.store = this.disk.workers.store
    await this.store.open(this.events, limits)
    const { epoch, receivedIds } = await this.#claim(publisher)
    this.epoch = epoch
    this.receivedIds = receivedIds
  }

  async #claim(clientId: string) {
    const request = { clientId, node: '1/3', user: null, userOnly: false, cleanStart: false, expiryMs: 1e9, will: null }
    return await this.store.claim(request)
  }

  publish(payload: string): Promise<void> {
    const received = { session: { clientId: publisher, epoch: this.epoch }, packetId: 7 }
    return Promise.resolve(this.store.append(messageOf(payload, { qos: 2 }), targets, received))
  }

  /** All workers are killed and started again, and the publisher comes back. */
  async restart(): Promise<void> {
    await this.disk.restart()
    await this.#open()
  }

  async queues(): Promise<string[][]> {
    const found: string[][] = []
    for (const clientId of receivers)
      found.push((await this.store.peek!(clientId, 0, 100))!.map(({ message }) => message.payload.toString()))
    return found
  }
}

/** What is done to the stores of the three workers so that it goes no further than that step. */
const steps: Readonly<Record<string, (stores: readonly DiskStore[]) => void>> = {
  'nothing was kept yet': ([first]) => {
    first!.sessions.lasting.intend = () => never
  },
  'the publisher has its token': stores => {
    for (const { sessions } of stores) sessions.lasting.appendOnce = () => never
  },
  'one part has the message': stores => {
    for (const { sessions } of stores.slice(1)) sessions.lasting.appendOnce = () => never
  },
  'two parts have the message': ([, , third]) => {
    third!.sessions.lasting.appendOnce = () => never
  },
  'all parts have the message': ([first]) => {
    const { sessions } = first!
    const append = sessions.append.bind(sessions)
    sessions.append = (message, given, received) => (received === null ? append(message, given, received) : never)
  },
  'the publisher has its identifier': stores => {
    for (const { sessions } of stores) sessions.lasting.through = () => {}
  },
}

for (const [step, stop] of Object.entries(steps)) {
  test(`killed when ${step}, and sent again, it is in each queue once`, async () => {
    const parts = await Parts.start()
    stop(parts.disk.stores)
    const isLast = step === 'the publisher has its identifier'
    const published = parts.publish('once')
    published.catch(() => {})
    if (isLast) await published
    // As far as it goes: each step is a commit, and what comes next follows in the same turn.
    else for (let i = 0; i < 50; i++) await new Promise(setImmediate)
    await parts.restart()
    expect(parts.receivedIds).toEqual(isLast ? [7] : [])
    if (!isLast) await parts.publish('once')
    expect(await parts.queues()).toEqual(receivers.map(() => ['once']))
    // The identifier is free again, and the next message under it is another one.
    await parts.store.forget({ clientId: publisher, epoch: parts.epoch }, 7)
    await parts.publish('next')
    expect(await parts.queues()).toEqual(receivers.map(() => ['once', 'next']))
  })
}

test('another message under the identifier of one that was refused is a message of its own', async () => {
  const parts = await Parts.start()
  const [, , third] = parts.disk.stores
  const { appendOnce } = third!.sessions.lasting
  third!.sessions.lasting.appendOnce = () => Promise.reject(new Error('full'))
  await expect(parts.publish('refused')).rejects.toThrow('full')
  third!.sessions.lasting.appendOnce = appendOnce
  await parts.publish('other')
  const [a, b, c, d] = await parts.queues()
  expect([c, d]).toEqual([['other'], ['other']])
  expect([a, b]).toEqual([
    ['refused', 'other'],
    ['refused', 'other'],
  ])
})

test('what a message leaves until it is through goes with it', async () => {
  const parts = await Parts.start()
  for (let i = 0; i < 3; i++) {
    await parts.publish(String(i))
    await parts.store.forget({ clientId: publisher, epoch: parts.epoch }, 7)
  }
  await parts.store.flush()
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  for (const { sessions } of parts.disk.stores) await sessions.flush()
  const rows = parts.disk.stores.flatMap(({ folder }) => [...folder.database.range(Buffer.from([0x4e]), Buffer.from([0x50]))])
  expect(rows).toEqual([])
})

test('a publisher that comes to the worker that keeps it and all receivers sends again what went in steps before, and it is taken once', async () => {
  const parts = await Parts.start()
  const near = [idIn(1, 'near-a'), idIn(1, 'near-b')]
  const [first] = parts.disk.workers.workers
  const targetsNear: AppendTarget[] = near.map((clientId, i) => ({ ...targets[i]!, clientId }))
  const claim = { node: '1/1', user: null, userOnly: false, cleanStart: false, expiryMs: 1e9, will: null }
  for (const clientId of near) await first!.sessions.claim({ ...claim, clientId })
  const received = { session: { clientId: publisher, epoch: parts.epoch }, packetId: 7 }
  steps['all parts have the message']!(parts.disk.stores)
  Promise.resolve(parts.store.append(messageOf('once', { qos: 2 }), targetsNear, received)).catch(() => {})
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  await parts.restart()
  const { sessions } = parts.disk.workers.workers[0]!
  const { epoch } = await sessions.claim({ ...claim, clientId: publisher })
  await sessions.append(messageOf('once', { qos: 2 }), targetsNear, { session: { clientId: publisher, epoch }, packetId: 7 })
  for (const clientId of near)
    expect((await sessions.peek!(clientId, 0, 10))!.map(({ message }) => message.payload.toString())).toEqual(['once'])
})

test('messages go through while all are told of what their receivers subscribe to', async () => {
  const parts = await Parts.start()
  const [, , , d] = receivers
  const { epoch } = await parts.store.claim({
    clientId: d!,
    node: '1/3',
    user: null,
    userOnly: false,
    cleanStart: false,
    expiryMs: 1e9,
    will: null,
  })
  const done: (void | Promise<void>)[] = []
  for (let packetId = 1; packetId <= 20; packetId++) {
    done.push(
      parts.store.append(messageOf(String(packetId), { qos: 2 }), targets, {
        session: { clientId: publisher, epoch: parts.epoch },
        packetId,
      }),
    )
    done.push(
      parts.store.subscribe({ clientId: d!, epoch }, [
        { filter: `f/${packetId}`, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 },
      ]),
    )
    await new Promise(setImmediate)
  }
  await Promise.all(done)
  expect((await parts.queues()).map(({ length }) => length)).toEqual([20, 20, 20, 20])
})
