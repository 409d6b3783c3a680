import assert from 'node:assert/strict'
import { isLoopback } from '../../../plugins/kit/network.ts'
import { ListenerHarness, type ListenerOwner, type ListenerTerms } from './listener-harness.ts'
import type { ContractRunner } from './runner.ts'
import { soon } from './soon.ts'
import { transportCases } from './transport.ts'

export type { ListenerFeature, ListenerOwner, ListenerTerms } from './listener-harness.ts'

/** Defines one test on a broker of its own. */
export type ListenerCase = (title: string, run: (harness: ListenerHarness) => Promise<void>, terms?: Partial<ListenerTerms>) => void

const operator = { name: 'the contract', via: 'program' } as const

/** The contract of a listener and of its `Transport`s (core/connection/transport.ts), for any plugin that listens and any transport that a program hands over. */
export function listenerContract({ describe, it }: ContractRunner, owner: ListenerOwner): void {
  const { lacks = [] } = owner
  describe(`a listener ${owner.name}${lacks.length === 0 ? '' : `, without ${lacks.join(', ')}`}`, () => {
    const one: ListenerCase = (title, run, terms) =>
      it(title, async () => {
        const harness = new ListenerHarness(owner)
        try {
          await harness.start(terms)
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    transportCases(one)
    endingCases(one)
    if (!lacks.includes('maxConnections')) seatCases(one)
    if (!lacks.includes('host')) hostCases(one)
    if (!lacks.includes('unlisten')) unlistenCases(one)
  })
}

/** However a connection ends, it has ended once, for both sides. */
function endingCases(test: ListenerCase): void {
  test('tells of the end of each connection once, whoever ends it and however', async h => {
    const ways: Record<string, (one: Awaited<ReturnType<ListenerHarness['whole']>>) => void> = {
      'the client breaks it off': ({ stream }) => stream.destroy(),
      'the client ends its side': ({ stream }) => stream.end(),
      'the client says DISCONNECT': ({ client }) => client.disconnect(),
      'the client sends what is no packet': ({ stream }) => stream.write(Buffer.from([0, 0, 0])),
      'the broker breaks it off': ({ transport }) => transport.destroy(),
      'the broker ends it': ({ transport }) => transport.end(),
    }
    const bystander = await h.client('bystander')
    for (const [way, end] of Object.entries(ways)) {
      const whole = await h.whole(way)
      end(whole)
      await h.until(() => h.closed.includes(whole.transport), `onClosed, where ${way}`)
      await h.until(() => whole.client.closed, `the client's stream closes, where ${way}`)
      await h.until(() => h.gone.includes(way), `onDisconnect, where ${way}`)
    }
    assert.ok((await bystander.publish('still/here', 'x', { qos: 1 })) < 0x80)
    assert.equal(h.closed.length, new Set(h.closed).size, 'onClosed comes once for each')
    assert.equal(h.broker.running.broker.counters.connected, 1)
  })

  test('leaves nothing of a hundred connections that break off at once, in the midst of CONNECT', async h => {
    const silent = []
    for (let i = 0; i < 100; i++) silent.push(await h.silent())
    for (const { stream } of silent) {
      stream.write(Buffer.from([0x10]))
      stream.destroy()
    }
    await h.until(() => h.closed.length === 100, 'all are closed')
    assert.equal(new Set(h.closed).size, 100)
    assert.ok((await (await h.client('later')).publish('a', 'x', { qos: 1 })) < 0x80)
  })

  test('closes a connection that says nothing, when its time is over', async h => {
    const { stream, transport } = await h.silent()
    const closed = new Promise(resolve => stream.once('close', resolve))
    stream.resume()
    await h.broker.advance(10 * 60_000)
    await soon(closed, 'the connection')
    await h.until(() => h.closed.includes(transport), 'onClosed')
  })

  test('closes all connections when the broker stops, also one whose client reads nothing and one that has said nothing', async h => {
    const { stream } = await h.whole('reads nothing')
    const client = await h.client('reads')
    const silent = await h.stream()
    silent.resume()
    stream.pause()
    await soon(h.broker.stop(), 'the stop of the broker')
    stream.resume()
    await h.until(() => client.closed && stream.destroyed && silent.destroyed, 'all are closed')
    await assert.rejects(h.client('late'))
  })
}

function seatCases(test: ListenerCase): void {
  test(
    'takes as many connections as it may, and one more when one has gone',
    async h => {
      const first = await h.client('first')
      await h.client('second')
      await assert.rejects(h.client('third'))
      assert.ok((await first.publish('a', 'x', { qos: 1 })) < 0x80)
      first.lose()
      await h.until(() => h.gone.includes('first'), 'a place is free')
      await h.client('fourth')
    },
    { maxConnections: 2 },
  )
}

function hostCases(test: ListenerCase): void {
  test(
    'is on loopback while anybody may connect, whatever address it is given',
    async h => {
      const { listeners } = h.broker.running.broker
      assert.ok(listeners.length > 0, 'it says where it listens: broker.listening')
      for (const { host } of listeners) assert.ok(isLoopback(host), `${host} is no address of loopback; ask broker.addressesFor`)
      await h.client('on loopback')
    },
    { host: '0.0.0.0' },
  )
}

function unlistenCases(test: ListenerCase): void {
  test('takes no connection while the node is drained, lets those go on that are open, and takes some again at the same place', async h => {
    const { broker } = h.broker.running
    const before = await h.client('before')
    const places = JSON.stringify(broker.listeners)
    await broker.operate(operator, 'drain', { rate: 1 })
    await assert.rejects(h.client('meanwhile'))
    assert.ok((await before.publish('a', 'x', { qos: 1 })) < 0x80)
    await broker.operate(operator, 'undrain')
    await h.client('afterwards')
    assert.equal(JSON.stringify(broker.listeners), places)
  })
}
