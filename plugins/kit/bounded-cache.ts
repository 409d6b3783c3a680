import type { Broker } from '../../core/broker.ts'

/** Something that is kept only because making it anew takes time: it may be forgotten at any moment. */
export interface Cache {
  /** What `/metrics` calls it: the plugin's name; of several the plugin's name, a dot and what is kept. */
  readonly name: string
  /** Bytes that are kept, roughly. */
  readonly bytes: number
  /** Forgets everything. */
  clear(): void
}

const cachesByBroker = new WeakMap<Broker, Set<Cache>>()

/** What a broker and its plugins keep only to spare time: all of it is forgotten when memory becomes short, before anybody is refused or slowed. */
export function cachesOf(broker: Broker): Set<Cache> {
  let caches = cachesByBroker.get(broker)
  if (caches === undefined) cachesByBroker.set(broker, (caches = new Set(broker.caches)))
  return caches
}

/** Bytes that a text keeps in memory, at most: V8 has one byte for a letter of Western scripts, two where any other is in the text. */
export function textBytes({ length }: string): number {
  return 24 + length * 2
}

/** Something that keeps what it could make anew. */
export interface Kept {
  /** Bytes that it keeps, roughly. */
  readonly bytes: number
  /** Forgets all of that. */
  clear(): void
}

/**
 * Adds to the broker's caches whatever a plugin has just now of something that it makes anew when its options change; `null`: nothing. Returns what takes it out again.
 * `name` is what `/metrics` calls it: the plugin's name; of several the plugin's name, a dot and what is kept.
 */
export function addCache(broker: Broker, name: string, current: () => Kept | null): () => void {
  const cache = {
    name,
    get bytes() {
      return current()?.bytes ?? 0
    },
    clear: () => current()?.clear(),
  }
  const caches = cachesOf(broker)
  caches.add(cache)
  return () => void caches.delete(cache)
}

// An entry of a Map, and what the Map has in reserve.
const entryBytes = 80

/**
 * Values by text, up to so many bytes: a client that makes up texts takes the places of those that nobody has asked for lately, and no more memory than that.
 * Whoever makes one adds it to the broker's caches (`addCache`), so that it is emptied when memory becomes short.
 */
export class BoundedCache<Value> implements Kept {
  readonly #generationBytes: number
  readonly #bytesOf: (value: Value) => number
  // Two generations: what was not asked for while the younger filled up goes.
  #young: Map<string, Value>
  #old: Map<string, Value>
  #youngBytes: number
  #oldBytes: number

  /** `bytesOf`: what a value keeps in memory besides the text that it is found by. */
  constructor(bytesMax: number, bytesOf: (value: Value) => number) {
    this.#generationBytes = bytesMax / 2
    this.#bytesOf = bytesOf
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
    this.#oldBytes = 0
  }

  /** Bytes that are kept: each text, its value, and some 80 for the place. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes
  }

  /** What is kept of a text; `undefined`: nothing. */
  get(text: string): Value | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) {
      this.#old.delete(text)
      this.#oldBytes -= this.#bytesOfEntry(text, old)
      this.set(text, old)
    }
    return old
  }

  /** Keeps a value that there is none of yet. One that is larger than half of the bound is not kept. */
  set(text: string, value: Value): void {
    const bytes = this.#bytesOfEntry(text, value)
    if (bytes > this.#generationBytes) return
    if (this.#youngBytes + bytes > this.#generationBytes) {
      this.#old = this.#young
      this.#oldBytes = this.#youngBytes
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(text, value)
    this.#youngBytes += bytes
  }

  /** Forgets everything. */
  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngBytes = 0
    this.#oldBytes = 0
  }

  #bytesOfEntry(text: string, value: Value): number {
    return entryBytes + textBytes(text) + this.#bytesOf(value)
  }
}
