import { frameKind } from './script/layout.ts'

/** A frame as it goes through a channel or an inbox: its kind, the version of the bus, then what it holds. */
export type Frame =
  | { readonly kind: 'message'; readonly from: string; readonly payload: Buffer }
  | { readonly kind: 'wake'; readonly sessionKeys: readonly string[] }
  | { readonly kind: 'barrier'; readonly number: number }

const headBytes = 2

/** What one node sends to another: behind the head its sender's name, after its length. */
export function messageFrame(version: number, from: string, payload: Buffer): Buffer {
  const name = Buffer.from(from)
  return Buffer.concat([Buffer.from([frameKind.message, version, name.length]), name, payload])
}

/** Others have appended to the sessions of these keys, which are a list in JSON. */
export function wakeFrame(version: number, sessionKeys: string): Buffer {
  return Buffer.concat([Buffer.from([frameKind.wake, version]), Buffer.from(sessionKeys)])
}

/** What a node tells itself. */
export function barrierFrame(version: number, number: number): Buffer {
  return Buffer.concat([Buffer.from([frameKind.barrier, version]), Buffer.from(String(number))])
}

/** The version of a frame; null: it says none, as the frames of version 0.1.0, which began with a letter. */
export function versionOf(frame: Buffer): number | null {
  const isKnown = frame.length >= headBytes && Object.values(frameKind).some(kind => kind === frame[0])
  return isKnown ? frame[1]! : null
}

/** Reads a frame whose version can be read. Its payload is a view of it. */
export function readFrame(frame: Buffer): Frame {
  switch (frame[0]) {
    case frameKind.wake:
      return { kind: 'wake', sessionKeys: JSON.parse(frame.toString('utf8', headBytes)) as string[] }
    case frameKind.barrier:
      return { kind: 'barrier', number: Number(frame.toString('utf8', headBytes)) }
    default: {
      const end = headBytes + 1 + frame[headBytes]!
      return { kind: 'message', from: frame.toString('utf8', headBytes + 1, end), payload: frame.subarray(end) }
    }
  }
}
