import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

const flags = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
]

/** A real Chromium without a window. */
export class Chromium {
  readonly #child: ChildProcessByStdio<null, null, Readable>
  /** Rejects when it ends by itself, with what it has printed. */
  readonly ended: Promise<never>

  /** `profile`: a folder that it has to itself. `args`: flags of its own, and what it is to open. `printed` is told of all that it has printed so far, at each piece. */
  constructor(profile: string, args: readonly string[], printed: (text: string) => void = () => {}) {
    // The browser and its own helpers are one group.
    this.#child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    })
    let text = ''
    this.#child.stderr.on('data', (chunk: Buffer) => {
      text += chunk
      printed(text)
    })
    this.ended = new Promise((_resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('exit', code => reject(new Error(`chromium ended with ${code}: ${text.slice(-2000)}`)))
    })
    this.ended.catch(() => {})
  }

  /** Ends it, and all that it has started. */
  async stop(): Promise<void> {
    const gone = new Promise(resolve => this.#child.once('exit', resolve))
    process.kill(-this.#child.pid!, 'SIGKILL')
    await gone
  }
}
