/** Something that an operator did, or tried to do. */
export interface AuditRow {
  /** When: milliseconds since the Unix epoch. */
  readonly at: number
  /** Who: the system's user, the token, or the program. */
  readonly actor: string
  /** How: `socket`, `http`, `program`. */
  readonly via: string
  /** From which network address; null: from none. */
  readonly address: string | null
  /** What was done. */
  readonly verb: string
  /** To what, as the verb was given it; never a payload. */
  readonly target: string
  /** Why it was not done; null: it was. */
  readonly failed: string | null
  /** The node at which it was said. */
  readonly node: string
}

/** A client id whose connection was taken over by another one. */
export interface TakeoverRow {
  /** When the last time: milliseconds since the Unix epoch. */
  readonly at: number
  /** The client id. */
  readonly id: string
  /** How often. */
  readonly count: number
  /** The address of the connection that went, the last time. */
  readonly from: string
  /** The address of the connection that came, the last time; null: unknown. */
  readonly by: string | null
  /** The node that had the connection that went. */
  readonly node: string
}

/** What came and went at a node within some seconds. Rates are per second. */
export interface RateRow {
  /** The end of these seconds: milliseconds since the Unix epoch. */
  readonly at: number
  /** The node. */
  readonly node: string
  /** PUBLISH packets that came from clients. */
  readonly received: number
  /** PUBLISH packets that went to clients. */
  readonly sent: number
  /** Bytes that came from clients. */
  readonly bytesIn: number
  /** Bytes that went to clients. */
  readonly bytesOut: number
  /** Messages that did not reach a subscriber, whatever the reason. */
  readonly dropped: number
  /** Connections, filters and publishes that were refused. */
  readonly refused: number
  /** Connections that were opened. */
  readonly connects: number
  /** Clients that were connected in the end. */
  readonly connections: number
  /** The part of the time for which the event loop was busy, in percent. */
  readonly busyPercent: number
  /** The longest that something due had to wait for the event loop, in milliseconds. */
  readonly lagMs: number
  /** Processor time of the process, in percent of one core. */
  readonly cpuPercent: number
  /** Bytes of the process, as the system counts them, in the end. */
  readonly rss: number
}

/** Whom the broker takes somebody for. */
export interface WhoamiAnswer {
  /** The name: of the system's user, or of the token. */
  readonly name: string
  /** How: `socket`, `http`, `program`. */
  readonly via: string
  /** The role; null: a program, which may do everything. */
  readonly role: string | null
  /** The node that is asked. */
  readonly node: string
  /** The package's version. */
  readonly version: string
}

/** A message that a client has published. */
export interface RecentRow {
  /** When it came: milliseconds since the Unix epoch. */
  readonly at: number
  /** The client id of its publisher. */
  readonly id: string
  /** Its topic name, cut where it is long. */
  readonly topic: string
  /** The QoS that it was published with. */
  readonly qos: number
  /** It was to be retained. */
  readonly retain: boolean
  /** The bytes of its payload. */
  readonly bytes: number
  /** The node that its publisher is connected to. */
  readonly node: string
}

/** What clients have published lately. */
export interface RecentAnswer {
  /** From when on the broker remembers all of it: milliseconds since the Unix epoch. */
  readonly sinceAt: number
  /** How many messages they are. */
  readonly messages: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** The last ones, the newest first. */
  readonly rows: readonly RecentRow[]
  /** Nodes that have not answered. */
  readonly missing?: readonly { readonly node: string; readonly why: string }[]
}

/** A message that has passed. */
export interface TailPiece {
  /** When it came: milliseconds since the Unix epoch. */
  readonly at: number
  /** The topic name. */
  readonly topic: string
  /** The QoS that it was published with. */
  readonly qos: number
  /** It is to be retained. */
  readonly retain: boolean
  /** The bytes of its payload. */
  readonly bytes: number
  /** The client id of its publisher; empty: the broker itself. */
  readonly from: string
  /** The payload, where it was asked for: as text, or in base64 where it is none. */
  readonly payload?: string | { readonly base64: string }
  /** The node that it was published at; left out where there is one only, or one was named. */
  readonly node?: string
}

/** A packet of a client that is traced, or the beginning or the end of its connection. */
export interface TracePiece {
  /** When: milliseconds since the Unix epoch. */
  readonly at: number
  /** The client id. */
  readonly id: string
  /** `in`: a packet of the client's; `out`: one of the broker's; `open`: the client was connected already; `end`: the connection has ended. */
  readonly way: 'in' | 'out' | 'open' | 'end'
  /** `CONNECT`, `PUBLISH`…; not there with `open` and `end`. */
  readonly packet?: string
  /** The node that has seen it; left out where there is one only, or one was named. */
  readonly node?: string
  /** What the packet says, and of `open` and `end` what is known. */
  readonly [field: string]: unknown
}

/** What a reader has not taken in time was dropped. */
export interface DroppedPiece {
  /** How many pieces. */
  readonly dropped: number
}

/** A node does not answer, or no longer: what passes there does not show. */
export interface MissingPiece {
  /** Which, and why. */
  readonly missing: { readonly node: string; readonly why: string }
}
