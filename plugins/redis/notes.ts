import type { Keys } from './keys.ts'

/** What a batch has noted of one session for the other nodes. */
export interface Note {
  /** Claimed, parked (closed), subscribed, unsubscribed, ended. */
  readonly kind: 'c' | 'p' | 's' | 'u' | 'e'
  readonly clientId: string
  /** Of the owner in whose time it was. */
  readonly epoch: number
  /** `s`: filters and their options in turn; `u`: filters. */
  readonly more: readonly string[]
}

/** Reads what the batch script wrote. */
export function readNotes(said: string, keys: Keys): Note[] {
  const notes: Note[] = []
  for (const [kind, key, epoch, more] of JSON.parse(said) as [Note['kind'], string, string, (readonly string[] | string)?][]) {
    const clientId = keys.clientIdOf(key)
    if (clientId !== null) notes.push({ kind, clientId, epoch: Number(epoch), more: Array.isArray(more) ? more : [] })
  }
  return notes
}
