import { spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'
import { freePort } from './redis.ts'
import { ServerProcess } from './server-process.ts'

/** A real mosquitto, in a process and a folder of its own. */
export class MosquittoServer extends ServerProcess {
  readonly port: number
  /** What it said. */
  output = ''

  private constructor(port: number) {
    super(mkdtempSync(join(tmpdir(), 'mqttx-mosquitto-')))
    this.port = port
  }

  /** `lines`: what stands in its config besides the listener; it keeps its state over restarts. Ends with the test. */
  static async start(lines: readonly string[] = []): Promise<MosquittoServer> {
    const server = new MosquittoServer(await freePort())
    const config = [
      `listener ${server.port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${server.folder}/`,
      'max_queued_messages 0',
      'log_type all',
      'user root',
      ...lines,
    ]
    writeFileSync(join(server.folder, 'mosquitto.conf'), `${config.join('\n')}\n`)
    onTestFinished(() => server.stop())
    await server.run()
    return server
  }

  /** Starts it, again after a kill, and resolves when it takes connections. */
  async run(): Promise<void> {
    const child = spawn('mosquitto', ['-c', join(this.folder, 'mosquitto.conf')], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    let failure: Error | null = null
    child.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      failure = new Error(code === 'ENOENT' ? 'mosquitto is missing: run  sudo apt-get install mosquitto' : message)
    })
    child.on('exit', code => {
      failure ??= new Error(`mosquitto has ended with ${code}: ${this.output}`)
    })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (this.output += chunk))
    await eventually(async () => {
      if (failure !== null) throw failure
      return await answers(this.port)
    })
  }

  /** Ends it in good order, so that it writes what it has to keep. */
  async end(): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGTERM')
    await gone
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
