import cluster from 'node:cluster'
import type { Clock } from '../../../core/time/clock.ts'
import { standardError, standardOutput } from '../../../plugins/kit/output/standard-outputs.ts'
import { closeHandedConnections } from './handed-connections.ts'
import { mergeLines } from './line-merge.ts'
import type { FromWorker } from './messages.ts'
import type { SupervisorWorld, WorkerEvents, WorkerProcess } from './supervisor.ts'
import { workerMark } from './worker-mark.ts'

// The last lines of a worker are read within this time of its end.
const lastLinesMs = 500

/** What a worker's process is started with. */
export interface ForkTerms {
  /** The program: the one that this process runs. */
  readonly program: string
  readonly argv: readonly string[]
  /** Options of Node, such as the size of the heap. */
  readonly execArgv: readonly string[]
  readonly clock: Clock
  giveUp(): void
}

/** Workers as processes of `node:cluster`, which shares their ports where Node itself cannot. */
export function clusterWorld({ program, argv, execArgv, clock, giveUp }: ForkTerms): Omit<SupervisorWorld, 'stopped'> {
  return {
    clock,
    giveUp,
    say: text => void standardError().write(`${text}\n`),
    fork(events: WorkerEvents): WorkerProcess {
      cluster.schedulingPolicy = cluster.SCHED_RR
      // What a program that embeds the broker has set for workers of its own comes back.
      const { settings: before } = cluster
      cluster.setupPrimary({ exec: program, args: [...argv], execArgv: [...execArgv], silent: true })
      const worker = cluster.fork({ [workerMark]: '1' })
      if (Object.keys(before).length > 0) cluster.setupPrimary(before)
      const { process: child } = worker
      closeHandedConnections(child)
      mergeLines(child.stdout!, lines => void standardOutput().write(lines))
      mergeLines(child.stderr!, lines => void standardError().write(lines))
      worker.on('message', (message: FromWorker) => events.heard(message))
      // Killed while something was on its way to it.
      child.on('error', () => {})
      let told = false
      const end = (code: number | null, signal: string | null): void => {
        if (told) return
        told = true
        events.ended(signal === null ? `code ${code}` : `signal ${signal}`)
      }
      child.on('exit', (code, signal) => void clock.after(lastLinesMs, () => end(code, signal)))
      child.on('close', end)
      return {
        pid: child.pid!,
        send: message => void (child.connected && child.send(message, undefined, undefined, () => {})),
        kill: () => void child.kill('SIGKILL'),
      }
    },
  }
}
