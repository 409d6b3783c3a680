import assert from 'node:assert/strict'
import type { Config } from '../../../presets/index.ts'
import { createTestBroker, type KitClient, type TestBroker } from '../../../presets/testing/index.ts'
import type { ContractRunner } from './runner.ts'
import { soon } from './soon.ts'

/** A bridge that is to be proven as a whole, from a client's PUBLISH to the other system. */
export interface BridgeOwner {
  /** Completes "a bridge …". */
  readonly name: string
  /**
   * The config of a broker that carries what is published to `contract/a` to the system, in its order, and acknowledges when the system has it (`ack: 'kafka'` of a rule of
   * `messageBridge`). Asked once for each test; what earlier tests have brought there is not to be read in this one.
   */
  config(): Config | Promise<Config>
  /** The payloads that the system has from this test's broker, oldest first. `atLeast`: there are so many, perhaps in a moment. */
  read(atLeast: number): Promise<readonly Buffer[]>
  /** Takes the system away in the midst of traffic, and returns what brings it back with what it had kept. Left out where nobody can. */
  away?(): Promise<() => Promise<void>>
  /** A topic name, and a payload, that goes to the system as well, which never takes it. Left out where there is none. */
  readonly refused?: { readonly topic: string; readonly payload: string }
  /** Called when a test has ended and its broker has stopped. */
  dispose?(): void | Promise<void>
}

type BridgeCase = (title: string, run: (broker: TestBroker, client: KitClient) => Promise<void>) => void

const texts = (payloads: readonly Buffer[]): string[] => payloads.map(String)

/** The contract of what a bridge promises to publishers, for any that works by `onRoute`: by a target of `messageBridge`, or by itself. It runs in real time. */
export function bridgeContract({ describe, it }: ContractRunner, owner: BridgeOwner): void {
  const { away, refused } = owner
  describe(`a bridge ${owner.name}`, () => {
    const one: BridgeCase = (title, run) =>
      it(title, async () => {
        const broker = await createTestBroker(await owner.config(), { clock: 'real' })
        try {
          await run(broker, await broker.client('publisher'))
        } finally {
          await soon(broker.stop(), 'the stop of the broker')
          await owner.dispose?.()
        }
      })

    for (const qos of [1, 2] as const)
      one(`has brought a message of QoS ${qos} there, byte for byte, when its publisher is acknowledged`, async (_broker, client) => {
        const payload = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
        assert.ok((await soon(client.publish('contract/a', payload, { qos }), 'the acknowledgement')) < 0x80)
        const [brought, ...more] = await owner.read(1)
        assert.deepEqual([brought?.equals(payload), more.length], [true, 0])
      })

    one('keeps the order of one publisher, whatever the QoS, and brings nothing that is not its own', async (_broker, client) => {
      const all = Array.from({ length: 301 }, (_, number) => String(number))
      // From here on it has a connection to the system.
      await soon(client.publish('contract/a', all[0]!, { qos: 1 }), 'the acknowledgement')
      for (let from = 1; from < all.length; from += 15) {
        const acknowledged = all.slice(from, from + 15).flatMap((payload, at) => [
          client.publish('contract/a', payload, { qos: at % 3 === 1 ? 0 : 1 }),
          // No rule is about this one.
          client.publish('elsewhere', payload),
        ])
        await soon(Promise.all(acknowledged), 'the acknowledgements')
      }
      assert.deepEqual(texts(await owner.read(all.length)), all)
    })

    if (refused !== undefined)
      one('denies the acknowledgement of what the system never takes, and holds nothing up', async (_broker, client) => {
        const asked = [
          client.publish('contract/a', 'before', { qos: 1 }),
          client.publish(refused.topic, refused.payload, { qos: 1 }),
          client.publish('contract/a', 'behind', { qos: 1 }),
        ]
        const [before, denied, behind] = await soon(Promise.all(asked), 'the acknowledgements')
        assert.ok(denied! >= 0x80, `PUBACK has ${denied} where the system takes nothing`)
        assert.ok(before! < 0x80 && behind! < 0x80)
        // At least once: what went with it may have gone twice.
        assert.deepEqual([...new Set(texts(await owner.read(2)))], ['before', 'behind'])
      })

    if (away === undefined) return

    one('acknowledges nothing while the system is away, and brings all of it in its order when it is back', async (broker, client) => {
      const bystander = await broker.client('bystander')
      await soon(client.publish('contract/a', 'before', { qos: 1 }), 'the acknowledgement')
      const back = await away()
      let early = 0
      let isBack = false
      const payloads = Array.from({ length: 15 }, (_, number) => `while it was away ${number}`)
      const acknowledged = payloads.map(async payload => {
        const code = await client.publish('contract/a', payload, { qos: 1 })
        if (!isBack) early += 1
        return code
      })
      // Whoever does not wait for the system is answered meanwhile.
      await soon(bystander.publish('elsewhere', 'x', { qos: 2 }), 'the acknowledgement of what is not bridged').finally(() => {
        isBack = true
        return back()
      })
      assert.equal(early, 0)
      for (const code of await soon(Promise.all(acknowledged), 'the acknowledgements')) assert.ok(code < 0x80)
      assert.deepEqual([...new Set(texts(await owner.read(16)))], ['before', ...payloads])
    })

    one('lets the broker stop while the system is away', async (broker, client) => {
      await soon(client.publish('contract/a', 'before', { qos: 1 }), 'the acknowledgement')
      const back = await away()
      try {
        client.publish('contract/a', 'is not acknowledged', { qos: 1 }).catch(() => {})
        await soon(broker.stop(), 'the stop of the broker')
      } finally {
        await back()
      }
      assert.equal(texts(await owner.read(1))[0], 'before')
    })
  })
}
