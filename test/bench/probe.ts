import { Connection } from './load/connection.ts'
import * as packets from './load/packets.ts'
import { median } from './report.ts'

const everyMs = 10

/** A client that does nothing but ask whether the broker is there: how long an answer takes while others keep the broker busy. */
export class Probe {
  readonly #connection: Connection
  readonly #millis: number[] = []
  #stopped = false
  #done: Promise<void> = Promise.resolve()

  private constructor(connection: Connection) {
    this.#connection = connection
  }

  static async start(port: number): Promise<Probe> {
    const nothing = (): void => {}
    const connection = new Connection(port, 0, { delivered: nothing, acked: nothing, drained: nothing, closed: nothing })
    await connection.connect(packets.connect('bench-probe', true))
    const probe = new Probe(connection)
    probe.#done = probe.#ask()
    return probe
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now()
      await this.#connection.ask(packets.pingreq, 13)
      this.#millis.push(performance.now() - began)
      await new Promise(resolve => setTimeout(resolve, everyMs))
    }
  }

  /** Ends the probe and says what it saw. */
  async stop(): Promise<string> {
    this.#stopped = true
    await this.#done
    this.#connection.destroy()
    const sorted = this.#millis.sort((a, b) => a - b)
    const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? 0
    return `a ping beside it: median ${median(sorted).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, worst ${(sorted.at(-1) ?? 0).toFixed(1)} ms`
  }
}
