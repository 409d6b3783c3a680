import { OperatorError } from '../../../core/errors.ts'
import type { Clock, Timer } from '../../../core/time/clock.ts'
import type { BeginMessage, FromWorker, ToWorker } from './messages.ts'

/** One worker's process, as the supervisor sees it. */
export interface WorkerProcess {
  readonly pid: number
  send(message: ToWorker): void
  /** Ends it at once. */
  kill(): void
}

/** What a worker's process tells. */
export interface WorkerEvents {
  heard(message: FromWorker): void
  /** `how`: for people, `signal SIGKILL`, `code 1`. */
  ended(how: string): void
}

/** What the supervisor needs of the world around it. */
export interface SupervisorWorld {
  readonly clock: Clock
  /** Begins a process; the supervisor tells it what it is. */
  fork(events: WorkerEvents): WorkerProcess
  /** A line that no worker can write, because none lives. */
  say(text: string): void
  /** Too many workers have died: the broker ends. */
  giveUp(): void
  /** It was asked to stop, and all workers have gone. */
  stopped(): void
}

/** What all workers are told. */
export type WorkerTerms = Omit<BeginMessage, 'kind' | 'number' | 'ports' | 'early'>

/** A worker without a sign of life for so long is killed, and another takes its place. */
export const silentMs = 10_000
/** So many deaths within `deathsWithinMs` end the broker. */
export const deathsMax = 5
export const deathsWithinMs = 60_000
const lookMs = 1000
// From the end of the drain on a worker has so long to be gone.
const stopMs = 30_000

interface Worker {
  readonly number: number
  readonly process: WorkerProcess
  lastSign: number
  isReady: boolean
  /** Why it could not start, as it said itself. */
  failed: OperatorError | null
  readonly started: Promise<void>
  /** It waits for the others, or serves. */
  readonly waits: Promise<void>
  /** It stops, and its clients have gone. */
  readonly left: Promise<void>
  readonly ended: Promise<void>
}

/** Starts the workers, takes care of them, and speaks for them: one that dies is started again, one that hangs is killed first. */
export class Supervisor {
  readonly #world: SupervisorWorld
  readonly #terms: WorkerTerms
  readonly #workers = new Map<number, Worker>()
  readonly #ports: Record<string, number> = {}
  #deaths: number[] = []
  #timer: Timer | null = null
  #lookedAt = 0
  #phase: 'starting' | 'running' | 'stopping' = 'starting'

  constructor(world: SupervisorWorld, terms: WorkerTerms) {
    this.#world = world
    this.#terms = terms
  }

  /** The processes that there are just now, by their numbers. */
  get workers(): ReadonlyMap<number, { readonly process: WorkerProcess; readonly isReady: boolean }> {
    return this.#workers
  }

  /** Resolves when all serve. The first comes alone, as far as it gets by itself: what is wrong with a config one of them says. Rejects with what it said. */
  async start(): Promise<void> {
    this.#lookedAt = this.#world.clock.now()
    this.#timer = this.#world.clock.every(lookMs, () => this.#look())
    try {
      const first = this.#begin(1)
      await Promise.race([first.started, first.waits])
      const others = Array.from({ length: this.#terms.count - 1 }, (_, i) => this.#begin(i + 2).started)
      await Promise.all([first.started, ...others])
    } catch (error) {
      await this.#end()
      throw error
    }
    this.#phase = 'running'
  }

  /** Has all of them read the config again, but for one that has done so. */
  reread(but = 0): void {
    for (const { number, process } of this.#workers.values()) if (number !== but) process.send({ kind: 'reread' })
  }

  /** Writes a line to the log, by way of a worker: the first that serves. */
  say(level: 'info' | 'warn' | 'error', text: string, fields: object = {}): void {
    const one = [...this.#workers.values()].find(({ isReady }) => isReady)
    if (one === undefined) this.#world.say(text)
    else one.process.send({ kind: 'say', level, fields, text })
  }

  /** Has all drain and stop. The first is the last, because it answers the command line. */
  async stop(): Promise<void> {
    if (this.#phase === 'stopping') return
    this.#phase = 'stopping'
    const others = [...this.#workers.values()].filter(({ number }) => number !== 1)
    const ended = others.map(worker => this.#stopOne(worker))
    await Promise.all(others.map(({ left }, i) => Promise.race([left, ended[i]])))
    const first = this.#workers.get(1)
    if (first !== undefined) await this.#stopOne(first)
    await Promise.all(ended)
    this.#timer?.cancel()
    this.#world.stopped()
  }

  /** Ends all at once. */
  kill(): void {
    this.#phase = 'stopping'
    this.#timer?.cancel()
    for (const { process } of this.#workers.values()) process.kill()
  }

  async #end(): Promise<void> {
    const ended = [...this.#workers.values()].map(worker => worker.ended)
    this.kill()
    await Promise.all(ended)
  }

  async #stopOne(worker: Worker): Promise<void> {
    worker.process.send({ kind: 'stop' })
    const late = this.#world.clock.after(stopMs, () => worker.process.kill())
    await worker.ended
    late.cancel()
  }

  #begin(number: number): Worker {
    let failed: (error: Error) => void = nothing
    let ended = nothing
    const come = { ready: nothing, waits: nothing, left: nothing }
    const worker: Worker = {
      number,
      process: this.#world.fork({
        heard: message => {
          this.#heard(worker, message)
          if (message.kind in come) come[message.kind as keyof typeof come]()
        },
        ended: how => {
          this.#ended(worker, how)
          failed(
            worker.failed ??
              new OperatorError('ERR_WORKERS', `worker ${number} ended with ${how} before it served; its lines above say why`),
          )
          ended()
        },
      }),
      lastSign: this.#world.clock.now(),
      isReady: false,
      failed: null,
      started: new Promise<void>((resolve, reject) => void ([come.ready, failed] = [resolve, reject])),
      waits: new Promise<void>(resolve => void (come.waits = resolve)),
      left: new Promise<void>(resolve => void (come.left = resolve)),
      ended: new Promise<void>(resolve => void (ended = resolve)),
    }
    // Of one that is started again nobody waits for it.
    worker.started.catch(nothing)
    this.#workers.set(number, worker)
    return worker
  }

  #heard(worker: Worker, message: FromWorker): void {
    worker.lastSign = this.#world.clock.now()
    switch (message.kind) {
      case 'alive':
      case 'waits':
      case 'left':
        return
      case 'here':
        return this.#tellBegin(worker)
      case 'ready':
        worker.isReady = true
        Object.assign(this.#ports, message.ports)
        if (this.#phase === 'running') this.say('info', `worker ${worker.number} serves again`, { worker: worker.number })
        if (worker.number === 1) this.#letOthersListen()
        return
      case 'failed':
        worker.failed = Object.assign(new OperatorError(message.code as 'ERR_WORKERS', [...message.problems]), { stack: message.stack })
        return
      case 'reread':
        return this.reread(worker.number)
    }
  }

  #tellBegin({ number, process }: Worker): void {
    const early = number !== 1 && this.#phase === 'starting' && this.#workers.get(1)?.isReady !== true
    process.send({ kind: 'begin', number, early, ports: { ...this.#ports }, ...this.#terms })
  }

  #letOthersListen(): void {
    for (const { number, process } of this.#workers.values()) if (number !== 1) process.send({ kind: 'open', ports: { ...this.#ports } })
  }

  #ended(worker: Worker, how: string): void {
    const { number } = worker
    if (this.#workers.get(number) === worker) this.#workers.delete(number)
    if (this.#phase !== 'running') return
    const now = this.#world.clock.now()
    this.#deaths = this.#deaths.filter(at => now - at < deathsWithinMs)
    this.#deaths.push(now)
    const why = worker.failed === null ? how : worker.failed.message
    if (this.#deaths.length >= deathsMax) {
      this.#world.say(
        `worker ${number} has ended (${why}): ${deathsMax} workers within ${deathsWithinMs / 1000} s, so the broker stops; the lines of the workers above say why`,
      )
      void this.#end().then(() => this.#world.giveUp())
      return
    }
    this.say('error', `worker ${number} has ended (${why}) and is started again`, { worker: number })
    this.#begin(number)
  }

  #look(): void {
    const now = this.#world.clock.now()
    // This process was frozen itself, and has read nothing of what they said.
    const wasAway = now - this.#lookedAt > lookMs * 3
    this.#lookedAt = now
    for (const worker of this.#workers.values()) {
      if (wasAway) worker.lastSign = now
      if (now - worker.lastSign < silentMs) continue
      this.say('error', `worker ${worker.number} has given no sign of life for ${silentMs / 1000} s and is killed`, {
        worker: worker.number,
      })
      worker.process.kill()
    }
  }
}

function nothing(): void {}
