import { type ChildProcess, spawn } from 'node:child_process'

/** Who hears each line that a broker prints. */
interface Printed {
  heard(line: string): void
}

/** A broker in a process of its own, to be killed. */
export class FaultBroker {
  readonly port: number
  readonly #child: ChildProcess
  /** How it ended: by which signal, or with which code. */
  readonly ended: Promise<string>
  /** The last of what it printed. */
  readonly lines: string[]
  readonly #printed: Printed

  private constructor(child: ChildProcess, port: number, ended: Promise<string>, lines: string[], printed: Printed) {
    this.#child = child
    this.port = port
    this.ended = ended
    this.lines = lines
    this.#printed = printed
  }

  /** `program`: presets/bin.js. Resolves when it is ready. */
  static async start(program: string, folder: string, args: readonly string[], env: Record<string, string> = {}): Promise<FaultBroker> {
    const child = spawn(process.execPath, [program, '--port', '0', ...args], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    // A run that ends by an error leaves no broker behind.
    const end = (): void => void child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    const ended = new Promise<string>(resolve => child.once('exit', (code, signal) => resolve(String(signal ?? code))))
    const lines: string[] = []
    const printed: Printed = { heard: () => {} }
    let port = 0
    const ready = new Promise<void>(resolve => {
      let text = ''
      const take = (chunk: Buffer): void => {
        text += chunk
        const found = text.split('\n')
        text = found.pop()!
        for (const line of found) {
          port ||= Number(/tcp listening on [^{]*:(\d+)/.exec(line)?.[1] ?? 0)
          if (/ ready: /.test(line)) resolve()
          if (/connected/.test(line)) continue
          lines.push(line)
          if (lines.length > 50) lines.shift()
          printed.heard(line)
        }
      }
      child.stdout!.on('data', take)
      child.stderr!.on('data', take)
    })
    const failed = await Promise.race([ready, ended])
    if (failed !== undefined) throw new Error(`the broker ended with ${failed} before it was ready:\n${lines.join('\n')}`)
    return new FaultBroker(child, port, ended, lines, printed)
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Resolves when it has printed such a line once more; rejects where it ends before. */
  async says(pattern: RegExp): Promise<void> {
    const said = new Promise<void>(resolve => {
      this.#printed.heard = line => void (pattern.test(line) && resolve())
    })
    const ended = await Promise.race([said, this.ended])
    if (ended !== undefined) throw new Error(`the broker ended with ${ended}:\n${this.lines.join('\n')}`)
  }

  /** Its wall clock is set: see clocks.ts. */
  setClock(): void {
    this.#child.kill('SIGUSR2')
  }

  /** It hangs: connections stay, nothing is answered. */
  freeze(): void {
    this.#child.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** Nobody reads its lines any more; `gone`: and nobody ever will. */
  loseReader(gone: boolean): void {
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      if (gone) stream.destroy()
      else stream.pause()
    }
  }

  /** Its lines are read again. */
  readAgain(): void {
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.resume()
  }

  /** It is asked to stop; resolves to how it ended. */
  terminate(): Promise<string> {
    this.#child.kill('SIGTERM')
    return this.ended
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
