/** How a connection ended. */
export interface DisconnectReason {
  /** The reason code that either side gave, or the one that fits best. */
  readonly code: number
  /** A sentence for the log. */
  readonly message: string
  /** Who ended the connection. */
  readonly by: 'client' | 'server' | 'network'
}
