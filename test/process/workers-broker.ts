import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { typed } from '../admin/typed.ts'
import { type ConnectOptions, TestClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { PrintedLines } from './printed-lines.ts'

/** A broker with several workers, as the command line runs it, which the tests of a file share. */
export class WorkersBroker {
  readonly folder: string
  readonly lines: string[] = []
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #printed: PrintedLines
  port = 0

  private constructor(program: string, folder: string, args: readonly string[]) {
    this.folder = folder
    const env = { ...process.env, RUNTIME_DIRECTORY: folder, MQTTX_LOG__FORMAT: 'json', MQTTX_ADMIN__SOCKET: join(folder, 'admin.sock') }
    this.#child = spawn(process.execPath, [program, '--port', '0', ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#printed = new PrintedLines(this.#child)
    for (const stream of [this.#child.stdout, this.#child.stderr]) this.#printed.collect(stream, this.lines)
  }

  static async start(program: string, folder: string, args: readonly string[]): Promise<WorkersBroker> {
    const broker = new WorkersBroker(program, folder, args)
    await broker.line(/ready: mqttx-broker/)
    broker.port = Number((await broker.line(/t(?:cp|ls) listening on [^"]*:(\d+)/))[1])
    return broker
  }

  /** Waits for a line that matches, behind the first `from`. */
  line(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    return this.#printed.line(pattern, this.lines, from)
  }

  get ended(): Promise<number | string | null> {
    return this.#printed.ended
  }

  get pid(): number {
    return this.#child.pid!
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** What the command line answers, as JSON. */
  async ask(line: string): Promise<Record<string, unknown>> {
    const { json, errors } = await typed(`${line} --json`, { folder: this.folder, env: { MQTTX_SOCKET: join(this.folder, 'admin.sock') } })
    if (json === null) throw new Error(errors)
    return json
  }

  /** The process ids of the workers, by their numbers. */
  async workers(): Promise<Map<string, number>> {
    const { rows } = (await this.ask('nodes')) as { rows: { name: string; pid: number }[] }
    return new Map(rows.map(({ name, pid }) => [name.split('/').at(-1)!, pid]))
  }

  open(version: 4 | 5 = 5): TestClient {
    const stream = connect({ port: this.port, host: '127.0.0.1', noDelay: true })
    onTestFinished(() => void stream.destroy())
    return new TestClient(stream, version)
  }

  async connect(options: ConnectOptions = {}): Promise<TestClient> {
    const client = this.open(options.version === 4 ? 4 : 5)
    await client.connect({ version: 5, ...options })
    return client
  }

  /** The number of the worker that has a client. */
  async workerOf(clientId: string): Promise<string> {
    const { rows } = (await this.ask(`clients --match ${clientId}`)) as { rows: { id: string; node: string }[] }
    return rows
      .find(({ id }) => id === clientId)!
      .node.split('/')
      .at(-1)!
  }

  /** A client at that worker: whoever comes elsewhere goes and comes again. */
  async connectAt(worker: string, options: ConnectOptions & { clientId: string }): Promise<TestClient> {
    for (;;) {
      const client = await this.connect(options)
      if ((await this.workerOf(options.clientId)) === worker) return client
      client.disconnect()
      await client.closed
    }
  }

  async stop(): Promise<void> {
    if (!this.#printed.isEnded) this.#child.kill('SIGTERM')
    await this.ended
  }

  /** Waits until nothing listens there any more. */
  async isFree(): Promise<void> {
    await eventually(
      () =>
        new Promise(resolve => {
          const socket = connect({ port: this.port, host: '127.0.0.1' })
          socket.on('error', () => resolve(true))
          socket.on('connect', () => {
            socket.destroy()
            resolve(false)
          })
        }),
    )
  }
}
