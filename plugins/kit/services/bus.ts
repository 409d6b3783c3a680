/** A node of the cluster as the others see it. */
export interface Node {
  /** The `brokerId` of the node, as text. */
  readonly name: string
  /** Names one run of it: a node that was started again is another. */
  readonly boot: string
  /** What it says of itself at each sign of life. */
  readonly facts: Readonly<Record<string, number | string>>
}

/** What a bus tells the broker. */
export interface BusEvents {
  /** Any node, this one too, has announced something. Every node hears all announcements in one and the same order. */
  announced(from: string, record: unknown): void
  /**
   * Another node has sent something to this one. Messages of one sender come in order, those sent by `tell` and those by `post` each for
   * themselves. `frame` may be used again when the call is over, so whoever keeps it copies it. Where it returns a promise the node has enough to do: no more of what was posted is handed over before it resolves. `told`: it was sent by `tell`, so it may be
   * lost where too much waits; left out, nothing is.
   */
  received(from: string, frame: Buffer, told?: boolean): void | Promise<void>
  /** A node is there: called after `open` for each that is there already, and for each that comes. */
  joined(node: Node): void
  /**
   * A node has gone. All nodes hear of it, in order with the announcements. `died`: it gave no sign of life, and others have taken it off the list; false: it has
   * left in good order; absent: this node cannot tell.
   */
  left(node: Node, died?: boolean): void
  /** Exactly one node hears this of a dead node, after `left`: it is to deal with what the dead one has left in its tables. */
  inherited(node: Node): void | Promise<void>
  /** The others took this node for dead, which it was not: what was posted to it meanwhile is gone, and its tables are empty. It has joined again, and `missed` is called next. */
  expelled(): void
  /** Something was, or may have been, missed: what is known of the others is to be read anew. */
  missed(): void | Promise<void>
  /** Events may have been lost, because the connection to the bus was away for a while. */
  interrupted(): void
}

/** How a node lives in its cluster. */
export interface BusTerms {
  /** Milliseconds between signs of life. */
  readonly heartbeatMs: number
  /** Milliseconds without one after which a node counts as dead. */
  readonly expiryMs: number
  /** What it says of itself each time. */
  readonly facts: () => Node['facts']
}

/**
 * The `bus` service: how the nodes of a cluster speak with one another. Whoever owns it need not know what they say. Nothing here is
 * asked of it before `open`.
 */
export interface Bus {
  /** The name of this node. */
  readonly node: string
  /**
   * Milliseconds by which the time that all nodes share is ahead of this node's clock: nodes whose clocks differ tell one another when things happened by it.
   * Absent: 0.
   */
  readonly clockShift?: number
  /** All nodes are processes of one machine that run one version: messages go as they came on the wire. Absent: false. */
  readonly near?: boolean
  /** The bus works, as far as this node knows: what it hears is up to date. */
  readonly connected: boolean
  /**
   * Joins; resolves when this node is one of them, or at once where the bus is away (it joins when that is back). Rejects with
   * `ERR_NODE_TWICE` where a living node has its name. Nothing is told before `run`.
   */
  open(events: BusEvents, terms: BusTerms): Promise<void>
  /**
   * From here on events are told: all that happened since `open`, then what happens. Resolves when this node also hears what it is told, or at once where
   * the bus is away: only then do clients come.
   */
  run(): void | Promise<void>
  /** All living nodes, this one too. */
  nodes(): readonly Node[]
  /** Tells all nodes; resolves when it cannot be lost any more. */
  announce(record: unknown): Promise<void>
  /** Sends to one node. What cannot be sent, because the node or the way to it is away, is lost, and nobody hears of it. */
  tell(node: string, frame: Buffer): void
  /** To one node; resolves when it cannot be lost any more as long as that node lives. Rejects where the node does not keep up: its inbox is full. */
  post(node: string, frame: Buffer): Promise<void>
  /** Sets one row, `null` deletes it, in this node's table of that name; all nodes can read it. Gone when the node has gone. */
  setRow(table: string, key: string, value: Buffer | null): Promise<void>
  /** Reads a whole table of a node. */
  rows(node: Node, table: string): AsyncIterable<readonly [key: string, value: Buffer]>
  /** Sets a value that all nodes share where there is none yet, for good; resolves with the one that stands. */
  agree(name: string, value: string): Promise<string>
  /** Deletes one row of a node's table; `true` for exactly one of those who try. */
  takeRow(node: Node, table: string, key: string): Promise<boolean>
}

declare module '../../../core/service-map.js' {
  interface ServiceMap {
    /** How the nodes of a cluster speak with one another: `redis` owns it. */
    bus: Bus
  }
}
