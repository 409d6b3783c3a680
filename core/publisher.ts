/** What a client may publish and subscribe to, as topic filters. Plugin `topicSecurity` asks for them: there, what is left out is nothing. */
export interface Rights {
  /** Topic filters of what the client may publish to. */
  readonly authorizedPub?: readonly string[]
  /** Topic filters of what the client may subscribe to. */
  readonly authorizedSub?: readonly string[]
}

/** Who publishes: a client, or what is left of one when its will is due. */
export interface Publisher {
  /** `client`: a client that is connected; `session`: a session, whose client need not be; absent: what is left of a client, when its will or a message that was held back is due. */
  readonly kind?: 'client' | 'session' | undefined
  /** The client id. */
  readonly clientId: string
  /** The user name; null: none. */
  readonly username: string | null
  /** What authentication said that the client may do; null: nothing was said. */
  readonly rights: Rights | null
  /**
   * What stands before the client's topic names for everybody else (a mount point, as in `tenants/acme/`); absent or empty: nothing. The client, and rules
   * about it, speak of topics without it.
   */
  readonly mountPoint?: string | undefined
}

/** Whose rights change: a client id, or all clients of a user. */
export type Whom = string | { readonly clientId: string } | { readonly username: string }

/** Who is taken away by `revoke`: all clients of a user (null: those without a user name), or the one with a client id. */
export type Revoked = { readonly username: string | null } | { readonly clientId: string }
