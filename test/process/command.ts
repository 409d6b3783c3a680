import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'

/** The command as a user runs it: a process of its own, whose lines are read. */
export class Command {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  /** What it has printed so far, a line each, without the time that stands before a log line. */
  readonly out: string[] = []
  readonly errors: string[] = []
  readonly #ended: Promise<number | null>
  #changed: () => void = () => {}

  /** `under`: a command that runs it, as `prlimit` does, and leaves it its process id. */
  constructor(program: string, folder: string, args: readonly string[], env: Record<string, string> = {}, under: readonly string[] = []) {
    const [command, ...rest] = [...under, process.execPath, program, ...args]
    this.#child = spawn(command!, rest, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void this.#child.kill('SIGKILL'))
    this.#collect(this.#child.stdout, this.out)
    this.#collect(this.#child.stderr, this.errors)
    this.#ended = new Promise(resolve => {
      this.#child.on('close', code => {
        this.#changed()
        resolve(code)
      })
    })
  }

  #collect(stream: Readable, lines: string[]): void {
    let text = ''
    stream.on('data', (chunk: Buffer) => {
      text += chunk
      const found = text.split('\n')
      text = found.pop()!
      lines.push(...found.map(line => line.replace(/^\[[\d:.]+\] /, '')))
      this.#changed()
    })
  }

  /** Waits for a line of standard output that matches, and returns the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      for (const line of this.out) {
        const match = pattern.exec(line)
        if (match !== null) return match
      }
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`it ended with ${this.#child.exitCode} and printed ${JSON.stringify([...this.out, ...this.errors])}`)
      await Promise.race([
        this.#ended,
        new Promise<void>(resolve => {
          this.#changed = resolve
        }),
      ])
    }
  }

  /** Waits until it is ready; returns the port of its first listener. */
  async ready(): Promise<number> {
    await this.line(/ready: mqttx-broker/)
    return Number((await this.line(/listening on .*:(\d+)/))[1])
  }

  get pid(): number {
    return this.#child.pid!
  }

  signal(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' | 'SIGHUP'): void {
    this.#child.kill(signal)
  }

  /** Waits for its end; returns the exit code. */
  ended(): Promise<number | null> {
    return this.#ended
  }
}
