/** The versions of what nodes say to one another that a node speaks: a range. */
export interface SpokenVersions {
  readonly newest: number
  readonly oldest: number
}

/** What is spoken, for messages. */
export interface Language {
  /** As in `version 2 of the bus`. */
  readonly name: string
  /** What this node speaks. */
  readonly own: SpokenVersions
  /** What is to be done about a node that says no version. */
  readonly cureOfNone: string
}

/** Why this node cannot speak with another, with the cure; null: it can. `spoken`: what the other says that it speaks; null: it says nothing of that. */
export function versionRefusal(node: string, spoken: SpokenVersions | null, { name, own, cureOfNone }: Language): string | null {
  if (spoken === null) return `node ${node} says no version of ${name}, and this node speaks ${versionsText(own)}; ${cureOfNone}`
  if (spoken.oldest <= own.newest && spoken.newest >= own.oldest) return null
  const older = spoken.newest < own.oldest ? 'that node' : 'this node'
  return `node ${node} speaks ${versionsText(spoken)} of ${name}, and this node ${versionsText(own)}; upgrade ${older} first, one version at a time`
}

function versionsText({ newest, oldest }: SpokenVersions): string {
  return newest === oldest ? `version ${newest}` : `versions ${oldest} to ${newest}`
}
