import type {
  Claim,
  ClaimRequest,
  EndedSession,
  QueueEntry,
  StoredSessionState,
  StoredWill,
  SurvivingSession,
} from '../../core/sessions/session-store.ts'
import { decodeMessage, decodeWill, encodeMessage, encodeWill } from '../kit/stored-message.ts'

// Messages and wills as bytes, all else as it is: what parts of stores hand one another.

type Packed<T, K extends keyof T> = Omit<T, K> & { readonly [name in K]: Buffer | null }

export type PackedEntry = Packed<QueueEntry, 'message'>
export type PackedEnded = Omit<Packed<EndedSession, 'will'>, 'shared'> & { readonly shared: readonly PackedEntry[] }
export type PackedClaim = Omit<Packed<Claim, 'orphanedWill'>, 'ended'> & { readonly ended: PackedEnded | null }
export type PackedRequest = Packed<ClaimRequest, 'will'>
export type PackedState = Packed<StoredSessionState, 'will'>
export type PackedSurviving = Omit<Packed<SurvivingSession, 'will'>, 'inFlight'> & {
  readonly inFlight: readonly Packed<SurvivingSession['inFlight'][number], 'message'>[]
}

const will = (one: StoredWill | null | undefined): Buffer | null => (one == null ? null : encodeWill(one))
const readWill = (bytes: Buffer | null): StoredWill | null => (bytes === null ? null : decodeWill(bytes))

export function entries(found: readonly QueueEntry[]): PackedEntry[] {
  return found.map(entry => ({ ...entry, message: encodeMessage(entry.message) }))
}

export function readEntries(found: readonly PackedEntry[]): QueueEntry[] {
  return found.map(entry => ({ ...entry, message: decodeMessage(entry.message!) }) as QueueEntry)
}

export function ended(one: EndedSession | null): PackedEnded | null {
  return one === null ? null : { ...one, will: will(one.will), shared: entries(one.shared) }
}

export function readEnded(one: PackedEnded | null): EndedSession | null {
  return one === null ? null : { ...one, will: readWill(one.will), shared: readEntries(one.shared) }
}

export function claim(one: Claim): PackedClaim {
  return { ...one, ended: ended(one.ended), orphanedWill: will(one.orphanedWill) }
}

export function readClaim(one: PackedClaim): Claim {
  return { ...one, ended: readEnded(one.ended), orphanedWill: readWill(one.orphanedWill) }
}

export function claimRequest(one: ClaimRequest): PackedRequest {
  return { ...one, will: will(one.will) }
}

export function readClaimRequest(one: PackedRequest): ClaimRequest {
  return { ...one, will: readWill(one.will) }
}

export function state(one: StoredSessionState | null): PackedState | null {
  return one === null ? null : { ...one, will: will(one.will) }
}

export function readState(one: PackedState | null): StoredSessionState | null {
  return one === null ? null : { ...one, will: readWill(one.will) }
}

/** What waits for an answer of a part that has died was not kept there, and its publisher sends it again. */
export function surviving(one: SurvivingSession): PackedSurviving {
  const inFlight = one.inFlight.filter(({ asked }) => !asked)
  return {
    ...one,
    key: { ...one.key },
    will: will(one.will),
    inFlight: inFlight.map(entry => ({ ...entry, message: entry.message === null ? null : encodeMessage(entry.message) })),
  }
}

export function readSurviving(one: PackedSurviving): SurvivingSession {
  const inFlight = one.inFlight.map(entry => ({ ...entry, message: entry.message === null ? null : decodeMessage(entry.message) }))
  return { ...one, will: readWill(one.will), inFlight } as SurvivingSession
}
