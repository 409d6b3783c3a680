import { Connection } from './load/connection.ts'
import * as packets from './load/packets.ts'
import { median } from './report.ts'

const everyMs = 10
const topic = 'probe/self'
const message = packets.publish(topic, Buffer.from('are you there?'), 0)

/** A client that publishes to itself, a message at a time: how long that takes while others keep the broker busy. */
export class Probe {
  readonly #connection: Connection
  readonly #millis: number[] = []
  #arrived = (): void => {}
  #stopped = false
  #done: Promise<void> = Promise.resolve()

  private constructor(connection: Connection) {
    this.#connection = connection
  }

  static async start(port: number): Promise<Probe> {
    const nothing = (): void => {}
    let probe: Probe | undefined
    const delivered = (): void => {
      if (probe !== undefined) probe.#arrived()
    }
    const connection = new Connection(port, 0, { delivered, acked: nothing, drained: nothing, closed: nothing })
    await connection.connect(packets.connect('bench-probe', true))
    await connection.ask(packets.subscribe([topic], 0), 9)
    probe = new Probe(connection)
    probe.#done = probe.#ask()
    return probe
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now()
      await new Promise<void>(resolve => {
        this.#arrived = resolve
        this.#connection.say(message)
      })
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
    return `a message to oneself beside it: median ${median(sorted).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, worst ${(sorted.at(-1) ?? 0).toFixed(1)} ms`
  }
}
