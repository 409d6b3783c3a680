/**
 * The version of what nodes say to one another through Redis: signs of life, entries of the log, frames, and what the plugin `cluster` puts into them as far as that does not
 * carry a version of its own. A node speaks its own version and the one before, and says both in its signs of life. Version 0.1.0 said none, and is refused.
 */
export const busVersion = 1
/** The oldest version that this node speaks: `busVersion` less 1, once there is such a one. */
export const oldestBusVersion = 1

/** What a sign of life says of the versions that its node speaks. */
export interface SpokenVersions {
  readonly newest: number
  readonly oldest: number
}

/** Why this node cannot speak with another; null: it can. */
export function refusalOf(name: string, spoken: SpokenVersions | null): string | null {
  const own = versionsText({ newest: busVersion, oldest: oldestBusVersion })
  if (spoken === null)
    return `node ${name} says no version of the bus, as mqttx-broker 0.1.0 did, and this node speaks ${own}; stop that node, and start it as this version`
  if (spoken.oldest <= busVersion && spoken.newest >= oldestBusVersion) return null
  const older = spoken.newest < oldestBusVersion ? 'that node' : 'this node'
  return `node ${name} speaks ${versionsText(spoken)} of the bus, and this node ${own}; upgrade ${older} first, one version at a time`
}

/** Whether what another node has written can be read here. */
export function canRead(version: number): boolean {
  return version >= oldestBusVersion && version <= busVersion
}

function versionsText({ newest, oldest }: SpokenVersions): string {
  return newest === oldest ? `version ${newest}` : `versions ${oldest} to ${newest}`
}
