/** An object of plain data, as opposed to an instance, a list or a function. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  // An object from another realm (jiti, vm) has a prototype of its own kind: look one level further.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * Freezes plain objects and lists to the ground, and returns them; instances and functions stay as they are. Objects are copied as a whole at
 * last: V8 looks each field of one that was put together name by name up in a hash table, and the options of `mqtt` are read with each message.
 */
export function deepFreeze<T>(value: T): T {
  if (Array.isArray(value)) return Object.freeze(value.map(deepFreeze)) as T
  if (!isRecord(value) || Object.isFrozen(value)) return value
  const fields: Record<string, unknown> = value
  for (const [key, part] of Object.entries(fields)) fields[key] = deepFreeze(part)
  return Object.freeze({ ...value })
}

/** A copy of plain objects and lists without the keys that are `undefined`: those were not set. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T
  if (!isRecord(value)) return value
  const copy: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(value)) {
    // Plain assignment to __proto__ would replace the prototype and hide the key from the check.
    if (part !== undefined) Object.defineProperty(copy, key, { value: clone(part), enumerable: true, writable: true, configurable: true })
  }
  return copy as T
}
