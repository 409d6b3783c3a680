import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'

/** The lines that a process prints, and its end, which comes behind the last of them. */
export class PrintedLines {
  /** The exit code, or the signal that ended it; when all that it has printed is read. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  #isEnded = false
  #changed: () => void = () => {}

  constructor(child: ChildProcess) {
    this.ended = new Promise(resolve => {
      child.on('close', (code, signal) => {
        this.#isEnded = true
        this.#changed()
        resolve(signal ?? code)
      })
    })
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Appends what a stream brings, line by line; `shown`: how a line is kept. */
  collect(stream: Readable, lines: string[], shown: (line: string) => string = line => line): void {
    let text = ''
    // A letter of several bytes may come in two parts.
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      text += chunk
      const found = text.split('\n')
      text = found.pop()!
      lines.push(...found.map(shown))
      this.#changed()
    })
  }

  /** Waits for a line that matches, behind the first `from`; where the process ends without one, the error has the lines. */
  async line(pattern: RegExp, lines: readonly string[], from = 0): Promise<RegExpExecArray> {
    for (let at = from; ; ) {
      for (; at < lines.length; at++) {
        const match = pattern.exec(lines[at]!)
        if (match !== null) return match
      }
      if (this.#isEnded) throw new Error(`it has ended with ${await this.ended} and printed\n${lines.join('\n')}`)
      // Several may wait.
      const before = this.#changed
      await new Promise<void>(resolve => {
        this.#changed = () => {
          before()
          resolve()
        }
      })
    }
  }
}
