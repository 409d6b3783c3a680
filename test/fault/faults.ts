import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check } from './checker.ts'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, FaultPublisher, FaultReader } from './fault-client.ts'
import { History } from './history.ts'
import { killAt } from './kill-at.ts'

/** Where a broker keeps its sessions, and how its servers are made to fail. */
export interface FaultStore {
  readonly name: string
  /** Arguments of the broker's command. */
  readonly args: readonly string[]
  /** Plugins of one's own, by their absolute paths, with their options. Default: none. */
  readonly plugins?: readonly (readonly [path: string, options: object])[]
  /** Makes what the store stands on fail in the midst of traffic, and brings it back. Not there: only the broker can be killed. */
  disturb?(kind: 'kill' | 'freeze'): Promise<void>
  /** Frees what it stands on. */
  stop(): void | Promise<void>
}

/** A broker's wall clock that is wrong, and is set under way. */
export interface FaultClocks {
  /** The environment of the next broker. */
  env(): Record<string, string>
  /** Seconds for which messages live. */
  readonly lifeSeconds: number
}

/** What is killed, and on which store. */
export interface FaultRun {
  /** The broker's program, presets/bin.js. */
  readonly program: string
  readonly store: FaultStore
}

/** What a run showed: figures, and what was wrong. */
export interface FaultOutcome {
  /** Messages that were acknowledged to publishers. */
  readonly acknowledged: number
  /** Messages that readers got, repeats among them. */
  readonly received: number
  /** What does not go with the promises, a line each; none: nothing was lost. */
  readonly wrong: readonly string[]
}

const window = 50
const perRound = 300

/** What goes wrong: the broker is killed; it is, and each time its wall clock is wrong in another way, and is set under way; what its store stands on dies, or hangs. */
export type SingleFault = 'broker' | 'clocks' | 'kill' | 'freeze'

/** Rounds of traffic, 50 deep at QoS 1 and QoS 2, in the midst of each of which something dies: the broker, or what its store stands on. */
export async function killRounds(
  { program, store }: FaultRun,
  { rounds, random, what = 'broker', clocks }: { rounds: number; random: () => number; what?: SingleFault; clocks?: FaultClocks },
): Promise<FaultOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-fault-'))
  const history = new History()
  const publishers = [0, 1, 2, 3].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-4', history, 4, 30)]
  const clients = [...readers, ...publishers]
  const start = (): Promise<FaultBroker> => FaultBroker.start(program, folder, argsOf(store), clocks?.env())
  if (clocks !== undefined) for (const one of publishers) one.messageExpiry = clocks.lifeSeconds
  let broker = await start()
  try {
    await connectAll(readers, publishers, () => broker.port)
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      // In the midst: some are sent and not stored, some stored and not acknowledged, some delivered and not answered.
      await history.acknowledgedMore(random() * perRound * 4)
      if (what === 'broker' || what === 'clocks') {
        if (what === 'clocks') {
          broker.setClock()
          const later = history.count('acknowledged') + Math.ceil(random() * 100)
          await history.until(() => history.count('acknowledged') >= later || publishers.every(one => one.idle))
        }
        await broker.kill()
        await Promise.all(clients.map(one => one.gone))
        broker = await start()
        await Promise.all(clients.map(one => one.connect(broker.port)))
      } else {
        // The broker stays, and may send away whom it can promise nothing.
        for (const one of clients) one.returnsTo = broker.port
        await store.disturb!(what)
      }
    }
    return await finished(history, publishers, readers, [broker])
  } finally {
    await Promise.all(clients.map(one => one.close()))
    await broker.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * One QoS 1 and one QoS 2 exchange, publisher to broker to reader, in which the broker kills itself at the `at`-th point: a point lies
 * behind each write to the store and behind each write to a socket. `null`: there are not so many points.
 */
export async function killPoint({ program, store }: FaultRun, at: number): Promise<FaultOutcome | null> {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-fault-'))
  const history = new History()
  const publisher = new FaultPublisher('publisher', history, 5, 1)
  const reader = new FaultReader('reader', history, 5, 0)
  writeFileSync(join(folder, 'kill-at.mjs'), killAt)
  const args = argsOf(store, [[join(folder, 'kill-at.mjs'), {}]])
  let broker = await FaultBroker.start(program, folder, args, { FAULT_KILL_AT: String(at) })
  try {
    await reader.connect(broker.port)
    await reader.subscribe()
    await publisher.connect(broker.port)
    publisher.allow(1)
    const through = history.until(() => publisher.idle && reader.hasAll(publisher) && history.count('answered') >= 2)
    // What comes behind the reader's last answer has its points too; they come while the broker is asked for one thing more.
    const died = await Promise.race([broker.ended, through.then(() => reader.quiet()).then(() => null)])
    if (died === null) return null
    await Promise.all([publisher.gone, reader.gone])
    broker = await FaultBroker.start(program, folder, argsOf(store))
    await Promise.all([reader.connect(broker.port), publisher.connect(broker.port)])
    return await finished(history, [publisher], [reader], [broker])
  } finally {
    await Promise.all([publisher.close(), reader.close()])
    await broker.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Lets everything come to its end, and compares. */
export async function finished(
  history: History,
  publishers: readonly FaultPublisher[],
  readers: readonly FaultReader[],
  brokers: readonly FaultBroker[],
): Promise<FaultOutcome> {
  for (const one of readers) one.finish()
  // Behind everything, in each topic: when this has come, nothing before it can still come.
  for (const one of publishers) one.allow(1)
  // A session that is lost would be waited for in vain.
  const isLost = () =>
    history.events.some((event, at) => event.kind === 'connected' && !event.sessionPresent && wasThere(history, event.client, at))
  const done = history.until(() => isLost() || publishers.every(one => one.idle && readers.every(reader => reader.hasAll(one))))
  const died = await Promise.race([done, ...brokers.map(broker => broker.ended)])
  const wrong = check(
    history.events,
    readers.map(({ name }) => name),
  )
  if (died !== undefined) wrong.push(`a broker ended with ${died}:\n${brokers.flatMap(({ lines }) => lines).join('\n')}`)
  return { acknowledged: history.count('acknowledged'), received: history.count('received'), wrong }
}

function argsOf({ args, plugins = [] }: FaultStore, more: FaultStore['plugins'] = []): readonly string[] {
  const all = [...plugins, ...more].map(([path, options]) => (Object.keys(options).length === 0 ? path : [path, options]))
  return all.length === 0 ? args : [...args, '--set', `plugins=${JSON.stringify(all)}`]
}

function wasThere({ events }: History, client: string, before: number): boolean {
  return events.findIndex(event => event.kind === 'connected' && event.client === client) < before
}

/** Numbers from 0 to 1 that come again with the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
