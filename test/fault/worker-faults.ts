import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FaultBroker } from './fault-broker.ts'
import { connectAll, FaultPublisher, FaultReader } from './fault-client.ts'
import { type FaultOutcome, finished } from './faults.ts'
import { History } from './history.ts'
import { migrate } from './migrate.ts'

const window = 50
const perRound = 300
// A fifth death within a minute ends the broker, as it should.
const deathsPerRun = 4

export const workerFaults = ['worker', 'supervisor', 'all'] as const
/** What is killed: one of the workers, which the supervisor starts again; the supervisor, with which its workers end; all of them at once. */
export type WorkerFault = (typeof workerFaults)[number]

export interface WorkerRounds {
  readonly rounds: number
  readonly random: () => number
  readonly what: WorkerFault
  readonly workers: number
  /** Whenever the broker is started anew, with another number of workers, to whose parts `migrate` has moved what was there. */
  readonly change?: boolean
}

export interface WorkerOutcome extends FaultOutcome {
  /** Milliseconds after which the last worker had gone whose supervisor was killed, at worst. */
  readonly slowestEndMs: number
  readonly history: History
}

/**
 * Rounds of traffic over the workers of one broker on disk, in the midst of each of which one of its processes dies, or all do. Clients come back at once, to whatever worker takes them,
 * so publishers and readers are at workers that keep neither session, and a client comes to another worker before the one that died is there again.
 */
export async function workerRounds(program: string, options: WorkerRounds): Promise<WorkerOutcome> {
  const { rounds, random, what, change = false } = options
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-worker-fault-'))
  const history = new History()
  // Both readers, and two of the publishers each, lie in different parts of two workers, and of three.
  const publishers = [1, 2, 3, 4].map(i => new FaultPublisher(`publisher-${i}`, history, i % 2 === 0 ? 5 : 4, window))
  const readers = [new FaultReader('reader-5', history, 5, 30), new FaultReader('reader-a', history, 4, 30)]
  const clients = [...readers, ...publishers]
  let workers = options.workers
  let path = 'data'
  let moves = 0
  const start = (): Promise<FaultBroker> =>
    FaultBroker.start(program, folder, ['--preset', 'standalone', '--set', `disk.path=${path}`, '--set', `workers=${workers}`])
  let broker = await start()
  let pids = childrenOf(broker.pid)
  let deaths = 0
  let slowestEndMs = 0
  /** All clients lose their connections, and come back when the broker is there again. */
  const anew = async (end: () => Promise<unknown>): Promise<void> => {
    for (const one of clients) one.returnsTo = null
    pids = childrenOf(broker.pid)
    await end()
    await Promise.all(clients.map(one => one.gone))
    const began = performance.now()
    await Promise.all(pids.map(ended))
    slowestEndMs = Math.max(slowestEndMs, performance.now() - began)
    if (change) {
      moves += 1
      const next = workers === options.workers ? options.workers + 1 : options.workers
      await migrate(program, folder, `disk:${path}?workers=${workers}`, `disk:data-${moves}?workers=${next}`)
      rmSync(join(folder, path), { recursive: true })
      workers = next
      path = `data-${moves}`
    }
    broker = await start()
    deaths = 0
    await Promise.all(clients.map(one => one.connect(broker.port)))
    for (const one of clients) one.returnsTo = broker.port
  }
  try {
    await connectAll(readers, publishers, () => broker.port)
    for (const one of clients) one.returnsTo = broker.port
    for (let round = 0; round < rounds; round++) {
      for (const one of publishers) one.allow(perRound)
      await history.acknowledgedMore(random() * perRound * 4)
      if (what === 'worker') {
        const victims = childrenOf(broker.pid)
        const back = broker.says(/ serves again/)
        process.kill(victims[Math.floor(random() * victims.length)]!, 'SIGKILL')
        await back
        deaths += 1
        if (deaths === deathsPerRun) await anew(() => broker.terminate())
      } else {
        await anew(async () => {
          const all = what === 'all' ? pids : []
          const killed = broker.kill()
          for (const pid of all) process.kill(pid, 'SIGKILL')
          await killed
        })
      }
    }
    return { ...(await finished(history, publishers, readers, [broker])), slowestEndMs, history }
  } finally {
    await Promise.all(clients.map(one => one.close()))
    pids = childrenOf(broker.pid)
    await broker.kill()
    await Promise.all(pids.map(ended))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The processes that a process has started; none where it has ended. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? readFileSync(file, 'latin1').trim().split(' ').filter(Boolean).map(Number) : []
}

/** Resolves when a process that is no child of this one has ended. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await new Promise(resolve => setTimeout(resolve, 20))
}
