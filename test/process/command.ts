import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { PrintedLines } from './printed-lines.ts'

/** The command as a user runs it: a process of its own, whose lines are read. */
export class Command {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  /** What it has printed so far, a line each, without the time that stands before a log line. */
  readonly out: string[] = []
  readonly errors: string[] = []
  readonly #printed: PrintedLines

  /** `under`: a command that runs it, as `prlimit` does, and leaves it its process id. */
  constructor(program: string, folder: string, args: readonly string[], env: Record<string, string> = {}, under: readonly string[] = []) {
    const [command, ...rest] = [...under, process.execPath, program, ...args]
    this.#child = spawn(command!, rest, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onTestFinished(() => void this.#child.kill('SIGKILL'))
    this.#printed = new PrintedLines(this.#child)
    const timeless = (line: string): string => line.replace(/^\[[\d:.]+\] /, '')
    this.#printed.collect(this.#child.stdout, this.out, timeless)
    this.#printed.collect(this.#child.stderr, this.errors, timeless)
  }

  /** Waits for a line of standard output that matches, and returns the match. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    try {
      return await this.#printed.line(pattern, this.out)
    } catch (error) {
      throw this.errors.length === 0 ? error : new Error(`${(error as Error).message}\n${this.errors.join('\n')}`)
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

  /** Waits for its end; returns the exit code, null where a signal has ended it. */
  async ended(): Promise<number | null> {
    const how = await this.#printed.ended
    return typeof how === 'number' ? how : null
  }
}
