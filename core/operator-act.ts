import type { Actor } from './actor.ts'
import type { Revoked, Rights, Whom } from './publisher.ts'

/** What an operator has done. */
export type OperatorAct =
  /** A client of this id is to be disconnected; it was not connected here. */
  | { readonly verb: 'kick'; readonly clientId: string }
  /** A client, or all clients of a user, have other rights. */
  | { readonly verb: 'setRights'; readonly whom: Whom; readonly rights: Rights | null }
  /** A user, or a client, has been taken away: its connections are closed (0x87). */
  | { readonly verb: 'revoke'; readonly whom: Revoked; readonly keepSession: boolean }
  /** `broker.operate` was called at this node. `name`: the verb; `target`: what it was given; `failed`: why nothing was done, else null. */
  | { readonly verb: 'operate'; readonly actor: Actor; readonly name: string; readonly target: object; readonly failed: Error | null }
