/** A number of 32 bits for a text, the same everywhere and at all times; not for secrets. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  // One more round of mixing: ids that differ in their last digit would else be ranked alike.
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** The number, from 1 to `count`, of the worker whose part a text belongs to: a client id, to that of its session. */
export function partOf(text: string, count: number): number {
  return (fnv1a(text) % count) + 1
}
