/** What decides which pages may connect. */
export interface PageRule {
  /** The option's list; null: it is not set. */
  readonly listed: readonly string[] | null
  /** Whoever connects has to know something that a browser does not send of its own accord: a password, a token. */
  readonly secretWanted: boolean
  /** What the option is called that lists them. */
  readonly option: string
}

// RFC 6454, section 6.1: a scheme, a host and perhaps a port. A page in a sandboxed frame is called `null`, which anybody can have.
const loopback = /^[a-z][a-z0-9+.-]*:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/**
 * Why a page may not connect, with the cure; null where it may. A program names no origin and is not asked. A browser reaches loopback and shows
 * a client certificate for any page that its user looks at, so where that is enough to come in, only pages of this machine may. `Host` says nothing
 * here: the page's own name may have been pointed at this machine (DNS rebinding), and then both agree.
 */
export function whyForeign(origin: string | undefined, { listed, secretWanted, option }: PageRule): string | null {
  if (origin === undefined) return null
  if (listed !== null) {
    return listed.includes('*') || listed.includes(origin) ? null : `pages of this origin may not connect: ${option}`
  }
  if (secretWanted || loopback.test(origin)) return null
  return `while clients need no password, pages of this machine alone may connect; list others in ${option}, or '*' for all`
}
