/**
 * The `supervisor` service, which every worker has and a broker of one process has not: what all workers of a broker share, as the process that started them
 * has said it.
 */
export interface Supervisor {
  /** By which all workers encrypt TLS session tickets, so that each can resume what another began: 48 bytes, new with each start of the broker. */
  readonly ticketKeys: Buffer
  /** A folder of the broker's own for its sockets, which nobody else can enter. It goes with the broker. */
  readonly folder: string
  /**
   * How the workers come by the connections of one port: `reusePort`, each listens and the system shares them out (Node 22.12 and later, Linux); `roundRobin`: the
   * supervisor accepts and hands each worker one in turn.
   */
  readonly sharing: 'reusePort' | 'roundRobin'
  /** This worker is the first of the broker that opens its ports: it looks whether another program has them. */
  readonly isFirst: boolean
  /** Resolves when this worker may listen: the first one does before the others. */
  readonly whenOpen: Promise<void>
  /** This worker goes on when the others have come as far as it has: from now on they may begin. */
  waits(): void
  /** The clients of this worker have gone, and it goes on when those of the others have, too. */
  left(): void
  /** The port that a listener has that asked for a free one, as the first worker got it; undefined: this worker is the first. `at`: where the options stand, `socket[1]`. */
  portOf(at: string): number | undefined
  /** A listener of this worker is open: the others take the same port. */
  opened(at: string, port: number): void
  /** This worker can do nothing more for the broker: it ends, and another one takes its place. `why` is said in the log. */
  replace(why: string): void
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** What all workers share: there where the broker has more than one. */
    supervisor: Supervisor
  }
}
