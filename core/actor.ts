/** Who asks, or acts: somebody at the command line, the holder of a token, a program. */
export interface Actor {
  /** The name: of the system's user, of the token, or one that a program gives itself. */
  readonly name: string
  /** How the actor speaks to the broker: `socket`, `http`, or `program`. */
  readonly via: string
  /** What the actor may do, where somebody has looked: `read`, `operate`, `admin`. */
  readonly role?: string
  /** The actor's network address; left out where there is none. */
  readonly address?: string
}
