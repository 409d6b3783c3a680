import { Duplex } from 'node:stream'

/** One end of a connection in memory. What one end writes the other reads; where one ends or breaks the other hears of it. */
export class Line extends Duplex {
  #other: Line | null = null
  #held = false
  #waiting: (() => void) | null = null
  #wanted: (() => void) | null = null

  /** Both ends: the client's, which closes by itself when the other has ended, as a socket does, and the broker's. */
  static pair(): [Line, Line] {
    const [a, b] = [new Line(false), new Line(true)]
    a.#other = b
    b.#other = a
    return [a, b]
  }

  private constructor(allowHalfOpen: boolean) {
    super({ allowHalfOpen })
  }

  /** Whether what this end writes is kept back, as by a reader that reads nothing. */
  get held(): boolean {
    return this.#held
  }

  set held(held: boolean) {
    this.#held = held
    if (held) return
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const pass = (): void => {
      const other = this.#other!
      // Who is gone takes nothing more; the writer hears of it by the end.
      if (!other.destroyed && other.push(chunk)) done()
      else other.#wanted = done
    }
    if (this.#held) this.#waiting = pass
    else pass()
  }

  override _read(): void {
    const wanted = this.#wanted
    this.#wanted = null
    wanted?.()
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#other!.destroyed) this.#other!.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const other = this.#other!
    // Behind the last bytes, as a socket's end comes.
    process.nextTick(() => {
      if (!other.destroyed) other.push(null)
    })
    done(error)
  }
}
