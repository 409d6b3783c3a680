import type { Broker } from '../../../core/broker.ts'
import { LineThrottle } from '../line-throttle.ts'

const everyMs = 10_000

/** Says which connections a listener has refused by itself: a line for each reason in ten seconds, which counts the others. */
export class RefusedLines {
  readonly #broker: Broker
  /** Where the options of the listener stand. */
  readonly at: string
  readonly #throttle: LineThrottle

  /** `at`: where the options of the listener stand, `socket[1]`. */
  constructor(broker: Broker, at: string) {
    this.#broker = broker
    this.at = at
    this.#throttle = new LineThrottle(broker.clock, { everyMs })
  }

  /** The listener has as many connections as it takes. */
  full(max: number): void {
    const times = this.#throttle.pass('full')
    if (times > 0) this.#broker.log.warn({ times }, `${this.at}: connections are refused: it has as many as it takes, ${max}`)
  }

  /** The process has nearly as many files open as the system allows. */
  noFiles(address: string | undefined): void {
    const times = this.#throttle.pass('noFiles')
    if (times === 0) return
    this.#broker.log.warn(
      { times, address },
      `${this.at}: connections are refused: this process has nearly as many files open as the system allows; ${filesCure}`,
    )
  }
}

/** What an operator does who wants more connections than the system lets a process open. */
export const filesCure = 'raise what it may open: ulimit -n, LimitNOFILE= in a systemd unit, --ulimit nofile= of docker'
