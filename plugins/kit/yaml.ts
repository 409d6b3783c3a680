import { createRequire } from 'node:module'
import { nestingFault } from './options/nesting.ts'

/** What is wrong with a text in YAML: where, as `:LINE` behind the file's name, where that is known, and what. */
export class YamlError extends Error {
  readonly place: string

  constructor(place: string, text: string, cause?: unknown) {
    super(text, { cause })
    this.place = place
  }
}

const require = createRequire(import.meta.url)

/** Reads YAML (of which JSON is a part). What is wrong is a `YamlError` in one line, also where it is nested without end or holds itself by an alias. */
export function readYaml(path: string, text: string): unknown {
  // Loaded when there is YAML to read: it takes some 30 ms, and a broker without a file of it needs none.
  const { defaultLoaders } = require('cosmiconfig') as typeof import('cosmiconfig')
  let value: unknown
  try {
    value = defaultLoaders['.yaml'](path, text)
  } catch (cause) {
    // The parser calls itself for each level, too.
    if (cause instanceof RangeError) throw new YamlError('', 'is nested too deeply; write it flatter', cause)
    // js-yaml knows the place, and says it in a drawing of several lines.
    const { reason, mark, message } = cause as { reason?: string; mark?: { line: number }; message: string }
    throw new YamlError(mark === undefined ? '' : `:${mark.line + 1}`, reason ?? message.split('\n')[0]!, cause)
  }
  const fault = nestingFault(value)
  if (fault !== null) throw new YamlError('', fault)
  return value
}
