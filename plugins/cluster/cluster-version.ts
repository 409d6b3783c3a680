import type { ErrorCode } from '../../core/error-codes.ts'
import type { Node } from '../kit/services/bus.ts'

/**
 * The version of what nodes say to one another through whatever bus there is: frames of messages, announcements, rows of routes and wills. A node
 * says in each sign of life which it speaks, and speaks its own and the one before. Version 0.1.0 of the package said none.
 */
export const clusterVersion = 1
/** The oldest version that this node speaks: `clusterVersion` less 1, once there is such a one. */
export const oldestClusterVersion = 1

/** Why this node cannot speak with another; null: it can. */
export function refusalOf({ name, facts }: Node): string | null {
  const spoken = Number(facts.clusterVersion ?? 0)
  if (spoken >= oldestClusterVersion && spoken <= clusterVersion + 1) return null
  const said =
    spoken === 0 ? 'says no version of what nodes say to one another' : `speaks version ${spoken} of what nodes say to one another`
  const older = spoken < oldestClusterVersion ? 'that node' : 'this node'
  return `node ${name} ${said}, and this node version ${clusterVersion}; upgrade ${older} first, one version at a time`
}

/** What another node has sent is of a version that this node does not speak; the message names both. */
export class ClusterVersionError extends Error {
  override readonly name = 'ClusterVersionError'
  readonly code = 'ERR_CLUSTER_VERSION' satisfies ErrorCode

  constructor(from: string, version: number) {
    super(
      `node ${from} sent a frame of version ${version}, and this node reads ${oldestClusterVersion} to ${clusterVersion}; upgrade the older of both`,
    )
  }
}
