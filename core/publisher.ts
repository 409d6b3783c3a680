/** What a client may publish and subscribe to, as topic filters. Plugin `topicSecurity` asks for them: there, what is left out is nothing. */
export interface Rights {
  readonly authorizedPub?: readonly string[]
  readonly authorizedSub?: readonly string[]
}

/** Who publishes: a client, or what is left of one when its will is due. */
export interface Publisher {
  readonly clientId: string
  readonly username: string | null
  readonly rights: Rights | null
}

/** Whose rights change: a client id, or all clients of a user. */
export type Whom = string | { readonly clientId: string } | { readonly username: string }
