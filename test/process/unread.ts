import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, createReadStream, openSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/redis.ts'

/** What standard output or standard error is: a descriptor, a socket (which is what Node makes), nothing. */
export type Output = number | 'pipe' | 'ignore'

/** A named pipe in a folder: what a shell connects two commands by. `read` reads from it when it is resumed; `write` is for the broker. */
export function namedPipe(folder: string, name: string): { read: Socket; write: number } {
  const path = join(folder, name)
  execFileSync('mkfifo', [path])
  const read = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false })
  read.on('error', () => {})
  onTestFinished(() => void read.destroy())
  return { read, write: openSync(path, 'w') }
}

/** Lines that come from a stream while it is read. */
export class Lines {
  readonly all: string[] = []
  readonly #stream: Readable
  #text = ''

  constructor(stream: Readable) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => {
      this.#text += chunk
      const found = this.#text.split('\n')
      this.#text = found.pop()!
      this.all.push(...found)
    })
    stream.pause()
  }

  read(): void {
    this.#stream.resume()
  }

  /** Nobody reads any more: when what Node reads ahead is full, the other side cannot write. */
  stopReading(): void {
    this.#stream.pause()
  }

  /** Waits for a line. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null
    await eventually(() => {
      for (const line of this.all) if ((match = pattern.exec(line)) !== null) return true
      return false
    })
    return match!
  }
}

/** The command with any kind of standard output and standard error; whether it is ready is asked of its ports. */
export class UnreadCommand {
  readonly child: ChildProcess
  readonly port: number
  readonly metricsPort: number
  readonly ended: Promise<number | null>

  private constructor(child: ChildProcess, port: number, metricsPort: number) {
    this.child = child
    this.port = port
    this.metricsPort = metricsPort
    this.ended = new Promise(resolve => child.once('exit', resolve))
  }

  static async start(
    program: string,
    folder: string,
    args: readonly string[],
    outputs: readonly [Output, Output],
    under: readonly string[] = [],
  ): Promise<UnreadCommand> {
    const [port, metricsPort] = [await freePort(), await freePort()]
    const [command, ...rest] = [...under, process.execPath, program, '--preset', 'test', '--port', String(port), ...args]
    const child = spawn(command!, [...rest, '--set', `metrics.port=${metricsPort}`], { cwd: folder, stdio: ['ignore', ...outputs] })
    onTestFinished(() => void child.kill('SIGKILL'))
    return new UnreadCommand(child, port, metricsPort)
  }

  /** Waits until clients may come, and health can be asked. */
  async ready(): Promise<void> {
    const over = this.ended.then(code => {
      throw new Error(`it ended with ${code ?? this.child.signalCode} before it was ready`)
    })
    const isReady = async () =>
      (await listens(this.port)) && (await listens(this.metricsPort)) && (await this.get('/readyz')).status === 200
    await Promise.race([over, eventually(isReady)])
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.metricsPort}${path}`)
    return { status: response.status, text: await response.text() }
  }

  /** The value of a metric that has no labels. */
  async metric(name: string): Promise<number> {
    const { text } = await this.get('/metrics')
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const isThere = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return isThere
}

/** All that can be read of a file now. */
export async function textOf(path: string): Promise<string> {
  const stream = createReadStream(path, 'utf8')
  let text = ''
  stream.on('data', chunk => (text += chunk))
  await once(stream, 'close')
  return text
}
