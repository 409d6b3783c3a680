/** The user that a session belongs to as its record says it: a mark, because a name may be empty, then the name. Empty: nobody knows, and the record is to say nothing. */
export function encodeUser(user: string | null | undefined): string {
  if (user === undefined) return ''
  return user === null ? '-' : `=${user}`
}

export function decodeUser(text: string): string | null {
  return text.startsWith('=') ? text.slice(1) : null
}

/** The user as a property of what is told of a session: none where its record is of a version that did not write the user. */
export function userIn(text: string | undefined): { readonly user?: string | null } {
  return text === undefined ? {} : { user: decodeUser(text) }
}
