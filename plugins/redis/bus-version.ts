import type { Language } from '../kit/spoken-versions.ts'

/**
 * The version of what nodes say to one another through Redis: signs of life, entries of the log, frames, and what the plugin `cluster` puts into them as far as that does not
 * carry a version of its own. A node speaks its own version and the one before, and says both in its signs of life. Version 0.1.0 said none, and is refused.
 */
export const busVersion = 1
/** The oldest version that this node speaks: `busVersion` less 1, once there is such a one. */
export const oldestBusVersion = 1

/** What nodes of one Redis speak. */
export const busLanguage: Language = {
  name: 'the bus',
  own: { newest: busVersion, oldest: oldestBusVersion },
  cureOfNone: 'mqttx-broker 0.1.0 said none: stop that node, and start it as this version',
}

/** Whether what another node has written can be read here. */
export function canRead(version: number): boolean {
  return version >= oldestBusVersion && version <= busVersion
}
