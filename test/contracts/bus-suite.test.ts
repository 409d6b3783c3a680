import { expect, test } from 'vitest'
import { Hub } from '../../docs/examples/tcp-bus/hub.ts'
import { TcpBus } from '../../docs/examples/tcp-bus/tcp-bus.ts'
import type { BusEvents, BusTerms } from '../../plugins/kit/services/bus.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { type BusOwner, busContract } from './suite/index.ts'

// Goal: the suite of the bus tells a broken owner. Each is the bus on plain TCP of docs/examples with one thing wrong, and the test that is about that thing must
// fail: at once, because what is wrong is what is told, and not that nothing is.

const secret = 'a secret of this test'
const inboxMax = 1024 * 1024
const options = { host: '127.0.0.1', secret, waitingMax: 64 * 1024 * 1024 }

/** Runs the one test of that title on buses that tell their events by way of `wrong`. */
async function failsBy(title: string, wrong: (events: BusEvents) => BusEvents, hubMax = inboxMax): Promise<string> {
  class WrongBus extends TcpBus {
    override open(events: BusEvents, terms: BusTerms): Promise<void> {
      return super.open(wrong(events), terms)
    }
  }
  const hub = new Hub({ secret, inboxMax: hubMax })
  const hubPort = await hub.listen(0)
  const cables = new Map<unknown, TcpProxy>()
  const owner: BusOwner = {
    name: 'that is wrong',
    inboxBytes: inboxMax,
    async create(node) {
      const cable = await TcpProxy.start(hubPort)
      const bus = new WrongBus(node, { ...options, port: cable.port })
      cables.set(bus, cable)
      return bus
    },
    stop: bus => (bus as TcpBus).stop(),
    crash: bus => (bus as TcpBus).stop(true),
    cut(bus) {
      cables.get(bus)!.cut('refused')
      return () => cables.get(bus)!.heal()
    },
    async dispose() {
      await Promise.all([...cables.values()].map(cable => cable.stop()))
      await hub.close()
    },
  }
  let run: (() => Promise<void>) | undefined
  const it = (name: string, one: () => Promise<void>): void => {
    if (name === title) run = one
  }
  busContract({ describe: (_name, define) => define(), it }, owner)
  return run!().then(
    () => 'nothing is wrong',
    (error: Error) => error.message,
  )
}

const isBusy = 'hands over nothing more of what was posted while a node has enough to do, and goes on with what is announced'
const isFull = 'refuses what is posted to a node whose inbox is full, loses nothing of what it took, and takes more when there is room'
const isAway = 'a connection that was away for a moment has missed nothing, and its node is told that it was away'
const isDead = 'a node that was taken for dead is told so and joins again: its tables are empty, and it reads those of the others anew'

test.each([isBusy, isFull, isAway, isDead])('has nothing against the bus as it is: %s', async title => {
  expect(await failsBy(title, events => events)).toBe('nothing is wrong')
})

test('tells a bus that does not wait for a node that has enough to do', async () => {
  const hasty = (events: BusEvents): BusEvents => ({ ...events, received: (from, frame, told) => void events.received(from, frame, told) })
  expect(await failsBy(isBusy, hasty)).toContain('20 !== 1')
})

test('tells a bus whose inbox has no end', async () => {
  expect(await failsBy(isFull, events => events, 1024 * inboxMax)).toContain('a post is refused in the end')
})

test('tells a bus that takes an interruption for a death', async () => {
  const anxious = (events: BusEvents): BusEvents => ({
    ...events,
    interrupted: () => {
      events.expelled()
      events.interrupted()
    },
  })
  expect(await failsBy(isAway, anxious)).toMatch(/strictly deep-equal/)
})

test('tells a bus that reads the others before it says that it was taken for dead', async () => {
  let expelled = 0
  const early = (events: BusEvents): BusEvents => ({
    ...events,
    expelled: () => {
      expelled += 1
      void events.missed()
      events.expelled()
    },
    missed: () => {},
  })
  expect(await failsBy(isDead, early)).toContain('missed comes behind expelled')
  expect(expelled).toBe(1)
})
