import { rmSync } from 'node:fs'
import type { OperatorError } from '../../../core/errors.ts'
import type { Log } from '../../../core/log.ts'
import { drainOutputs } from '../../../plugins/kit/output/standard-outputs.ts'
import type { Supervisor } from '../../../plugins/kit/services/supervisor.ts'
import { SystemClock } from '../../../plugins/kit/system-clock.ts'
import type { Catalogue } from '../catalogue.ts'
import { commandConfig } from '../command-config.ts'
import { parseCommand, type RunCommand } from '../command-line.ts'
import { LiveConfig } from '../live-config.ts'
import { onInspectorAsked } from '../no-inspector.ts'
import { takeStreams } from '../process-streams.ts'
import { RunningBroker } from '../running-broker.ts'
import { configOfWorker } from './config-of-worker.ts'
import type { BeginMessage, FromWorker, ToWorker } from './messages.ts'

const aliveMs = 1000
const drainMs = 200

/** Runs this process as one worker of a broker, as its supervisor says; it ends the process. */
export async function runWorker(catalogue: Catalogue): Promise<void> {
  // The supervisor says when: a terminal and systemd send these to all processes.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const tell = (message: FromWorker): void => void process.send!(message, undefined, undefined, () => {})
  setInterval(() => tell({ kind: 'alive' }), aliveMs).unref()
  let log: Log | undefined
  takeStreams(() => log)
  let worker: Worker | null = null
  const opening = new Opening()
  const begin = await new Promise<BeginMessage>(resolve => {
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'begin') resolve(message)
      else if (message.kind === 'open') opening.open(message.ports)
      else if (worker !== null) worker.told(message)
      else if (message.kind === 'stop') process.exit(0)
    })
    tell({ kind: 'here' })
  })
  // `node:cluster` ends this process as soon as the supervisor has gone. What that cannot take away any more goes with whoever is the last.
  process.once('exit', () => void (process.connected || rmSync(begin.folder, { recursive: true, force: true })))
  try {
    opening.begin(begin)
    worker = await Worker.start(catalogue, begin, opening, tell, made => void (log = made))
    tell({ kind: 'ready', ports: worker.ports })
  } catch (error) {
    const { code = '', problems = [(error as Error).message], stack = '' } = error as Partial<OperatorError>
    process.send!({ kind: 'failed', code, problems, stack } satisfies FromWorker, undefined, undefined, () => process.exit(1))
  }
}

/** When this worker may listen, and at which ports. */
class Opening {
  readonly #ports: Record<string, number> = {}
  #mayListen: () => void = () => {}
  readonly whenOpen = new Promise<void>(resolve => void (this.#mayListen = resolve))

  begin({ ports, early }: BeginMessage): void {
    Object.assign(this.#ports, ports)
    if (!early) this.#mayListen()
  }

  open(ports: Readonly<Record<string, number>>): void {
    Object.assign(this.#ports, ports)
    this.#mayListen()
  }

  portOf(at: string): number | undefined {
    return this.#ports[at]
  }
}

class Worker {
  readonly ports: Readonly<Record<string, number>>
  readonly #running: RunningBroker
  readonly #live: LiveConfig

  private constructor(running: RunningBroker, live: LiveConfig, ports: Readonly<Record<string, number>>) {
    this.#running = running
    this.#live = live
    this.ports = ports
  }

  static async start(
    catalogue: Catalogue,
    begin: BeginMessage,
    opening: Opening,
    tell: (message: FromWorker) => void,
    wired: (log: Log) => void,
  ): Promise<Worker> {
    const { number, count, argv } = begin
    const place = { number, count }
    const command = parseCommand(argv) as RunCommand
    const read = async (configFile?: string, again = true) => {
      const wanted = configFile === undefined ? command : { ...command, configFile }
      return configOfWorker(await commandConfig(catalogue, wanted, process.env, process.cwd(), again), place)
    }
    const config = await read(undefined, false)
    const ports: Record<string, number> = {}
    let log: Log | undefined
    const supervisor: Supervisor = {
      ticketKeys: Buffer.from(begin.ticketKeys, 'base64'),
      folder: begin.folder,
      sharing: begin.sharing,
      isFirst: number === 1 && Object.keys(begin.ports).length === 0,
      whenOpen: opening.whenOpen,
      waits: () => tell({ kind: 'waits' }),
      left: () => tell({ kind: 'left' }),
      portOf: at => opening.portOf(at) ?? ports[at],
      opened: (at, port) => void (ports[at] = port),
      replace(why) {
        log?.error(why)
        void drainOutputs(drainMs).then(() => process.exit(1))
      },
    }
    const running = await RunningBroker.start(catalogue, config, {
      wired: made => {
        log = made
        wired(made)
      },
      clock: new SystemClock(begin.clockZero),
      worker: { place, supervisor },
    })
    onInspectorAsked(() => running.log.warn('SIGUSR1 opens no inspector here; start the broker with node --inspect to debug it'))
    // One of them says what all have taken up.
    const live = new LiveConfig(running, config.configFile, read, {
      says: number === 1,
      tellOthers: () => tell({ kind: 'reread' }),
    })
    await live.watch(config.settings.checkConfigEvery)
    process.on('unhandledRejection', reason => {
      const text = reason instanceof Error ? reason.message : String(reason)
      running.broker.report(new Error(`unhandled rejection: ${text}`, { cause: reason }))
    })
    return new Worker(running, live, ports)
  }

  told(message: ToWorker): void {
    switch (message.kind) {
      case 'reread':
        void this.#live.reread()
        return
      case 'say':
        return this.#running.log[message.level](message.fields, message.text)
      case 'stop':
        void this.#stop()
    }
  }

  async #stop(): Promise<void> {
    this.#live.stop()
    await this.#running.stop()
    await drainOutputs(drainMs)
    process.exit(0)
  }
}
