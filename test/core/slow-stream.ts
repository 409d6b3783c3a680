import { Duplex } from 'node:stream'

/** A stream that takes bytes when the test says so, and sees whether anybody changed them while it held them. */
export class SlowStream extends Duplex {
  /** What it has accepted, in order. */
  readonly accepted: Buffer[] = []
  /** Calls of _write and _writev. */
  writes = 0
  changed = false
  #held: { chunk: Buffer; before: Buffer }[] = []
  #done: (() => void) | null = null

  constructor(highWaterMark = 16_384) {
    super({ highWaterMark })
  }

  /** Takes what it holds. */
  accept(): void {
    for (const { chunk, before } of this.#held) {
      if (!chunk.equals(before)) this.changed = true
      this.accepted.push(Buffer.from(chunk))
    }
    this.#held = []
    const done = this.#done
    this.#done = null
    done?.()
  }

  get holds(): boolean {
    return this.#done !== null
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#hold([chunk], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#hold(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  override _read(): void {}

  #hold(chunks: Buffer[], done: () => void): void {
    this.writes += 1
    this.#held = chunks.map(chunk => ({ chunk, before: Buffer.from(chunk) }))
    this.#done = done
  }
}
