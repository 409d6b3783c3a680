import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type Clock, type Config, createBroker } from '../../presets/index.ts'
import type { RunningBroker } from '../../presets/shell/running-broker.ts'

/** A broker on a real socket of loopback, in real time unless it is given a clock. */
export async function startOnSocket(config: Config = {}, clock?: Clock): Promise<RunningBroker> {
  const options = clock === undefined ? {} : { clock }
  const broker = await createBroker({ preset: 'test', log: { level: 'silent' }, socket: { port: 0 }, ...config }, options).start()
  onTestFinished(() => broker.stop())
  return broker
}

/** What a client has to know of a broker, be it in this process or in one of its own. */
export interface Address {
  readonly port: number
}

/** When the broker has seen that client go; ask before it goes. */
export function departure(broker: RunningBroker, clientId: string): Promise<void> {
  return new Promise(resolve => {
    broker.hooks.onDisconnect.tap('test', client => {
      if (client.clientId === clientId) resolve()
    })
  })
}

type Process = ChildProcessByStdio<null, Readable, Readable>

/** One mosquitto client that runs. */
export class Mosquitto {
  readonly #child: Process
  /** What it printed, a line each, `-F '%t %p'` unless told otherwise. */
  readonly lines: string[] = []
  readonly #exit: Promise<number | null>
  #errors = ''
  #changed: () => void = () => {}

  constructor(command: 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr', broker: Address, args: readonly string[]) {
    this.#child = spawn(command, ['-h', '127.0.0.1', '-p', String(broker.port), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    this.#child.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop()!
      this.lines.push(...lines)
      this.#changed()
    })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk
    })
    this.#exit = new Promise((resolve, reject) => {
      this.#child.on('error', ({ code, message }: NodeJS.ErrnoException) =>
        reject(new Error(code === 'ENOENT' ? `${command} is missing: run  sudo apt-get install mosquitto-clients` : message)),
      )
      this.#child.on('exit', code => {
        this.#changed()
        resolve(code)
      })
    })
    this.#exit.catch(() => {})
    onTestFinished(() => void this.#child.kill('SIGKILL'))
  }

  /** Waits until it has printed so many lines, and returns all. */
  async printed(count: number): Promise<readonly string[]> {
    while (this.lines.length < count) {
      const { exitCode, signalCode } = this.#child
      if (exitCode !== null || signalCode !== null) throw new Error(`it ended with ${exitCode ?? signalCode}: ${this.#errors}`)
      await Promise.race([
        this.#exit,
        new Promise<void>(resolve => {
          this.#changed = resolve
        }),
      ])
    }
    return this.lines
  }

  /** Waits for its end; returns the exit code. */
  ended(): Promise<number | null> {
    return this.#exit
  }

  /** Ends it without a DISCONNECT. */
  kill(): Promise<number | null> {
    this.#child.kill('SIGKILL')
    return this.#exit
  }
}

/** Publishes, and waits until the client has its acknowledgement and has gone. */
export async function publish(broker: Address, ...args: string[]): Promise<void> {
  const code = await new Mosquitto('mosquitto_pub', broker, args).ended()
  if (code !== 0) throw new Error(`mosquitto_pub ${args.join(' ')} ended with ${code}`)
}

/** Subscribes, and waits until the broker has granted it. */
export async function subscribe(broker: RunningBroker, ...args: string[]): Promise<Mosquitto> {
  const subscribed = new Promise<void>(resolve => {
    broker.hooks.onSubscribed.tap('test', () => resolve())
  })
  const client = new Mosquitto('mosquitto_sub', broker, ['-F', '%t %p', ...args])
  await Promise.race([subscribed, client.ended()])
  return client
}
