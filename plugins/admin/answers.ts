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
