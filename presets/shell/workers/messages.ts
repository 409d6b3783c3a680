/** What a worker is told at its beginning. */
export interface BeginMessage {
  readonly kind: 'begin'
  readonly number: number
  readonly count: number
  /** The arguments of the command line, as the supervisor has them. */
  readonly argv: readonly string[]
  /** In base64. */
  readonly ticketKeys: string
  readonly folder: string
  readonly sharing: 'reusePort' | 'roundRobin'
  /** The `zero` of the supervisor's clock: workers compare times of one another, whatever the wall clock said when each was started. */
  readonly clockZero: number
  /** Ports that listeners have which asked for free ones, by their places. */
  readonly ports: Readonly<Record<string, number>>
  /** The first worker does not listen yet, and this one may not before it: `open` says when. */
  readonly early: boolean
}

/** What the supervisor says to a worker. */
export type ToWorker =
  | BeginMessage
  /** The first worker listens, so this one may, too. */
  | { readonly kind: 'open'; readonly ports: Readonly<Record<string, number>> }
  /** The config and the files that it names are to be read again. */
  | { readonly kind: 'reread' }
  /** The worker is to drain, stop and end. */
  | { readonly kind: 'stop' }
  /** A line for the log: the supervisor has none of its own. */
  | { readonly kind: 'say'; readonly level: 'info' | 'warn' | 'error'; readonly fields: object; readonly text: string }

/** What a worker says to the supervisor. */
export type FromWorker =
  /** It listens: what was said before, it has not heard. */
  | { readonly kind: 'here' }
  /** It lives: its event loop runs. */
  | { readonly kind: 'alive' }
  /** Its config is well and what it keeps is open; it goes on when the others have come as far. */
  | { readonly kind: 'waits' }
  /** Its clients have gone, because it stops; what it keeps stays open until those of the others have, too. */
  | { readonly kind: 'left' }
  /** It serves clients. */
  | { readonly kind: 'ready'; readonly ports: Readonly<Record<string, number>> }
  /** It cannot start, for these reasons. */
  | { readonly kind: 'failed'; readonly code: string; readonly problems: readonly string[]; readonly stack: string }
  /** The other workers are to read the config again: somebody has asked this one to. */
  | { readonly kind: 'reread' }
