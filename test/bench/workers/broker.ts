import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askBroker } from '../../../presets/shell/ask/socket-request.ts'
import { brokerKinds } from '../brokers.ts'
import { pinned } from '../pin.ts'
import { cpuSecondsOfAll } from '../usage.ts'

const [, program] = brokerKinds[0]!.command(0)
const common = ['--preset', 'test', '--port', '0', '--set', 'log.level=info', '--set', 'log.format=json']

/** A broker of one process or of several workers, all of them on the brokers' core. */
export class BenchBroker {
  readonly folder: string
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, folder: string, port: number) {
    this.#child = child
    this.folder = folder
    this.port = port
  }

  /** `workers` 1: one process, as ever. Resolves when all of them serve. */
  static async start(workers: number, sets: readonly string[] = []): Promise<BenchBroker> {
    const folder = mkdtempSync(join(tmpdir(), 'mqttx-bench-'))
    const all = [`admin.socket=${join(folder, 'admin.sock')}`, ...(workers > 1 ? [`workers=${workers}`] : []), ...sets]
    const [command, ...args] = pinned('broker', [process.execPath, program!, ...common, ...all.flatMap(set => ['--set', set])])
    const env = { ...process.env, RUNTIME_DIRECTORY: folder }
    const child = spawn(command!, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    const port = await new Promise<number>((resolve, reject) => {
      const heard = (bytes: Buffer): void => {
        text += bytes
        const listens = /tcp listening on [^"]*:(\d+)/.exec(text)
        // What it prints later nobody reads, but it has to go somewhere.
        if (listens !== null && /ready: mqttx-broker/.test(text)) resolve(Number(listens[1]))
      }
      child.stdout!.on('data', heard)
      child.stderr!.on('data', heard)
      child.on('exit', code => reject(new Error(`the broker ended with ${code}: ${text}`)))
    })
    return new BenchBroker(child, folder, port)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Processor time of all its processes so far, in seconds. */
  get cpu(): number {
    return cpuSecondsOfAll(this.pid)
  }

  /** At which worker each client is. */
  async workersOf(): Promise<Map<string, string>> {
    const socket = join(this.folder, 'admin.sock')
    const found = new Map<string, string>()
    let after: string | undefined
    do {
      const given = { limit: 200, ...(after === undefined ? {} : { after }) }
      const answer = await askBroker(socket, { name: 'clients', changes: false }, given)
      const { rows, next } = (answer as unknown as { value: Page }).value
      for (const { id, node } of rows) found.set(id, node)
      after = next ?? undefined
    } while (after !== undefined)
    return found
  }

  async stop(): Promise<void> {
    const gone = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await gone
    rmSync(this.folder, { recursive: true, force: true })
  }
}

interface Page {
  readonly rows: readonly { readonly id: string; readonly node: string }[]
  readonly next: string | null
}
