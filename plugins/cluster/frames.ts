import type { PickedMember } from '../../core/routing/dispatcher.ts'
import { ClusterVersionError, clusterVersion, oldestClusterVersion } from './cluster-version.ts'

/** One message on its way to one node. */
export interface Forwarded {
  /** As `encodeMessage` wrote it. */
  readonly body: Buffer
  /** For those of its clients whose own filters match. */
  plain: boolean
  /** Members of shared groups that were picked at the node that sends it. */
  readonly picks: PickedMember[]
}

/** Packs messages for one node, in order, behind the version of the frame. */
export function pack(messages: readonly Forwarded[]): Buffer {
  const parts: Buffer[] = [frameHead]
  for (const { body, plain, picks } of messages) {
    const named = picks.length === 0 ? '' : JSON.stringify(picks.map(({ group, clientId }) => [group, clientId]))
    const head = Buffer.allocUnsafe(9)
    head[0] = plain ? 1 : 0
    const names = Buffer.from(named)
    head.writeUInt32BE(names.length, 1)
    head.writeUInt32BE(body.length, 5)
    parts.push(head, names, body)
  }
  return Buffer.concat(parts)
}

/** Reads what `pack` wrote at the node `from`. Bodies stay where they are. Throws a `ClusterVersionError` for a version that this node does not speak. */
export function* unpack(from: string, frame: Buffer): Iterable<Forwarded> {
  const version = frame[0]!
  if (version < oldestClusterVersion || version > clusterVersion) throw new ClusterVersionError(from, version)
  let at = 1
  while (at < frame.length) {
    const plain = frame[at] === 1
    const names = frame.readUInt32BE(at + 1)
    const length = frame.readUInt32BE(at + 5)
    at += 9
    const picks: PickedMember[] = []
    if (names > 0) {
      for (const [group, clientId] of JSON.parse(frame.toString('utf8', at, at + names)) as [string, string][])
        picks.push({ group, clientId })
    }
    at += names
    yield { body: frame.subarray(at, at + length), plain, picks }
    at += length
  }
}

const frameHead = Buffer.from([clusterVersion])
