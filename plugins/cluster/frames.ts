import type { Actor } from '../../core/actor.ts'
import type { PickedMember } from '../../core/routing/dispatcher.ts'
import { ClusterVersionError, confirmVersion, messageVersion } from './cluster-version.ts'

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
  if (frame[0] !== messageVersion) throw new ClusterVersionError(from, frame[0]!)
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

const frameHead = Buffer.from([messageVersion])

/** What a node tells another of what it has acted on. */
export type ConfirmFrame =
  /** Everything up to this number, of that run of the node that is told. It counts when the marks of the node that says it have been heard up to `mark`. */
  | readonly ['c', number: number, run: string, mark: number]
  /** The node that says it knows that the other one is back, of this number and run. */
  | readonly ['b', number: number, run: string]
  /** Asks to be told when this frame has been read, behind what was sent before it the same way. */
  | readonly ['f', fence: number]
  /** That has been read. */
  | readonly ['F', fence: number]
  | VerbFrame

/** What nodes ask one another for operators. */
export type VerbFrame =
  /** Run a verb, and say what comes of it under this number. */
  | readonly ['q', number: number, verb: string, given: object, actor: Actor]
  /** What has come of it: why it failed, or null, and the answer. `stream`: the answer comes in pieces, and is read by this number. */
  | readonly ['a', number: number, failed: string | null, answer: unknown, stream?: number]
  /** The next pieces of a stream are asked for, as an answer under this number. */
  | readonly ['n', number: number, stream: number]
  /** Nobody reads a stream any more. */
  | readonly ['x', stream: number]

export function packConfirm(frame: ConfirmFrame): Buffer {
  return Buffer.from(`${confirmHead}${JSON.stringify(frame)}`)
}

/** Reads what `packConfirm` wrote; null: the frame holds messages. */
export function unpackConfirm(frame: Buffer): ConfirmFrame | null {
  return frame[0] === confirmVersion ? (JSON.parse(frame.toString('utf8', 1)) as ConfirmFrame) : null
}

const confirmHead = String.fromCharCode(confirmVersion)
