import type { ErrorCode } from '../../core/error-codes.ts'
import type { Bus, Node } from '../kit/services/bus.ts'
import { type Language, versionRefusal } from '../kit/spoken-versions.ts'
import { messageFormat } from '../kit/stored-message.ts'

/**
 * The version of what nodes say to one another through whatever bus there is: frames of messages, announcements, rows of routes and wills. A node
 * says in each sign of life which it speaks, and speaks its own and the one before. Version 0.1.0 of the package said none. Version 2 added confirmations.
 */
export const clusterVersion = 2
/** The oldest version that this node speaks: `clusterVersion` less 1. */
export const oldestClusterVersion = 1

/** The version that frames of messages have had unchanged since. */
export const messageVersion = 1
/** The version that frames with which nodes confirm have had unchanged since: who speaks an older one is never sent any. */
export const confirmVersion = 2
/** The first byte of frames of messages between workers of one broker, which are all of one version. No version of nodes is as high. */
export const wireVersion = 255

/** The version that a node speaks; 0: it says none. */
export function spokenBy({ facts }: Node): number {
  return Number(facts.clusterVersion ?? 0)
}

/** The format of messages that all nodes read: who speaks version 1 knows format 1 only. */
export function messageFormatOf(bus: Bus): number {
  return bus.nodes().some(node => spokenBy(node) < confirmVersion) ? 1 : messageFormat
}

const language: Language = {
  name: 'what nodes say to one another',
  own: { newest: clusterVersion, oldest: oldestClusterVersion },
  cureOfNone: 'upgrade that node first, one version at a time',
}

/** Why this node cannot speak with another; null: it can. */
export function refusalOf(node: Node): string | null {
  const newest = spokenBy(node)
  // It says the newest alone, and speaks the one before, too.
  return versionRefusal(node.name, newest === 0 ? null : { newest, oldest: Math.max(1, newest - 1) }, language)
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
