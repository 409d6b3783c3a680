import { OperatorError } from '../../../../core/errors.ts'
import { isRecord } from '../../../../plugins/kit/options/plain-data.ts'
import { readYaml, type YamlError } from '../../../../plugins/kit/yaml.ts'

/** One option of a Spring program, as it stands in a file. */
export interface Property {
  /** Its name as it is written: `mqttx.sys-topic.interval`. */
  readonly name: string
  /** A text, a number, a boolean, `null`, or a list. */
  readonly value: unknown
  readonly file: string
  /** From 1; 0 where it is not known. */
  readonly line: number
}

/** A document of a YAML file, between two lines of `---`. */
export interface SpringDocument {
  /** By their canonical name, in the order of the file. */
  readonly properties: ReadonlyMap<string, Property>
}

/** The name that all spellings of an option have in common: Spring takes `sysTopic`, `sys-topic` and `sys_topic` for the same. */
export function canonical(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '')
}

/** Reads a YAML file of one or more documents. What cannot be read is an `OperatorError` (`ERR_INIT`) with file and line. */
export function readDocuments(file: string, text: string): SpringDocument[] {
  const documents: SpringDocument[] = []
  let first = 1
  for (const part of text.split(/^---(?=\s|$)/m)) {
    documents.push({ properties: propertiesOf(file, part, first) })
    first += part.split('\n').length - 1
  }
  return documents
}

function propertiesOf(file: string, text: string, firstLine: number): Map<string, Property> {
  const found = new Map<string, Property>()
  const lines = linesOf(text, firstLine)
  const root = parse(file, text, firstLine)
  if (root === null || root === undefined) return found
  if (!isRecord(root)) throw new OperatorError('ERR_INIT', `init --from: ${file}:${firstLine}: names and values are expected`)
  flatten(root, '')
  return found

  function flatten(record: Record<string, unknown>, above: string): void {
    for (const [key, value] of Object.entries(record)) {
      const name = above === '' ? key : `${above}.${key}`
      if (isRecord(value) && Object.keys(value).length > 0) flatten(value, name)
      else add(name, value)
    }
  }

  // What is written in the flow style, `{ a: 1 }`, has the line of what holds it.
  function lineOf(name: string): number {
    const line = lines.get(name)
    const dot = name.lastIndexOf('.')
    return line ?? (dot === -1 ? 0 : lineOf(name.slice(0, dot)))
  }

  function add(name: string, value: unknown): void {
    const line = lineOf(canonical(name))
    // `topics[0]: a` is an element of the list `topics`.
    const list = /^(.*)\[\d+\]$/.exec(name)?.[1]
    if (list === undefined) {
      found.set(canonical(name), { name, value, file, line })
      return
    }
    const before = found.get(canonical(list))
    const elements = Array.isArray(before?.value) ? before.value : []
    found.set(canonical(list), { name: list, value: [...elements, value], file, line: before?.line ?? line })
  }
}

function parse(file: string, text: string, firstLine: number): unknown {
  // What Maven fills in at the build, `@profile@`, is no YAML before that.
  const quoted = text.replace(/^(\s*(?:- )?[^#\n]*?:\s+|\s*-\s+)(@[\w.-]+@)\s*$/gm, "$1'$2'")
  try {
    return readYaml(file, quoted)
  } catch (cause) {
    const { place, message } = cause as YamlError
    const line = /^:(\d+)$/.exec(place)?.[1]
    throw new OperatorError('ERR_INIT', `init --from: ${file}${line === undefined ? '' : `:${Number(line) + firstLine - 1}`}: ${message}`, {
      cause,
    })
  }
}

// The parser gives no lines.
function linesOf(text: string, firstLine: number): Map<string, number> {
  const lines = new Map<string, number>()
  const above: { indent: number; path: string }[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const match = /^(\s*)(?:"([^"]+)"|'([^']+)'|([^\s#:'"-][^:#]*?)):(?:\s|$)/.exec(line)
    if (match === null) continue
    const indent = match[1]!.length
    while (above.length > 0 && above.at(-1)!.indent >= indent) above.pop()
    const name = canonical(match[2] ?? match[3] ?? match[4]!)
    const path = above.length === 0 ? name : `${above.at(-1)!.path}.${name}`
    if (!lines.has(path)) lines.set(path, index + firstLine)
    above.push({ indent, path })
  }
  return lines
}
