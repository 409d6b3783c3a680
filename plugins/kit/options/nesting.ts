import { isRecord } from './plain-data.ts'

// No config, rule or schema that a person writes comes near; what walks over them calls itself for each level.
const depthMax = 100
// A few aliases of YAML can stand for more than a machine has memory for.
const partsMax = 1_000_000

/**
 * Why plain data must not be handed to what walks over it level by level: it is nested too deeply, holds itself (YAML's aliases, an object of a program's), or is
 * more than anybody writes. Null: it may. Instances and functions are not looked into.
 */
export function nestingFault(value: unknown): string | null {
  let level: unknown[] = [value]
  let parts = 0
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) return `is nested more than ${depthMax} levels deep, or holds itself; write it flatter`
    const next: unknown[] = []
    for (const one of level) {
      if (!Array.isArray(one) && !isRecord(one)) continue
      for (const part of Object.values(one)) {
        if (++parts > partsMax) return `holds more than ${partsMax} values, aliases counted each time; write less`
        if (typeof part === 'object' && part !== null) next.push(part)
      }
    }
    level = next
  }
  return null
}
