import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** One thing that the package exports: its declaration, without comments, and whether a sentence says what it is. */
export interface Exported {
  readonly name: string
  readonly declaration: string
  readonly isDescribed: boolean
}

/** What an entry's declaration file exports, by name. */
export function exportsOf(entry: string): Exported[] {
  const text = readFileSync(entry, 'utf8')
  const found: Exported[] = []
  for (const [, list, from] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gms)) {
    const file = declarationFile(entry, from!)
    for (const part of list!.split(',')) {
      const name = part.trim().replace(/^type /, '')
      if (name === '') continue
      const [original = name, shown = original] = name.split(' as ')
      found.push(declared(file, original, shown))
    }
  }
  for (const [, name] of text.matchAll(/^export (?:declare )?(?:abstract )?(?:const|function|class|interface|type) (\w+)/gm))
    found.push(declared(entry, name!, name!))
  const unique = new Map(found.map(one => [one.name, one]))
  return [...unique.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function declared(file: string, name: string, shown: string): Exported {
  const text = readFileSync(file, 'utf8')
  const start = new RegExp(`^(?:export )?(?:declare )?(?:abstract )?(?:const|function|class|interface|type) ${name}\\b`, 'm').exec(text)
  if (start === null) {
    // It only passes through here.
    const from = new RegExp(`(?:import|export) (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from '([^']+)'`).exec(text)?.[1]
    if (from === undefined) throw new Error(`${file} does not declare ${name}`)
    return declared(declarationFile(file, from), name, shown)
  }
  const before = text.slice(0, start.index).trimEnd()
  return { name: shown, declaration: withoutComments(statementAt(text, start.index)), isDescribed: before.endsWith('*/') }
}

function declarationFile(importer: string, from: string): string {
  return join(dirname(importer), from.replace(/(?:\.d)?\.[jt]s$/, '.d.ts'))
}

/** From its beginning to the brace or semicolon that ends it. */
function statementAt(text: string, start: number): string {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const char = text[at]!
    if (text.startsWith('/*', at)) at = text.indexOf('*/', at) + 1
    else if (char === "'" || char === '"') at = text.indexOf(char, at + 1)
    else if ('{(['.includes(char)) depth += 1
    else if ('})]'.includes(char)) {
      depth -= 1
      if (depth === 0 && char === '}' && text[at + 1] === '\n') return text.slice(start, at + 1)
    } else if (char === ';' && depth === 0) return text.slice(start, at + 1)
  }
  return text.slice(start)
}

function withoutComments(declaration: string): string {
  return declaration
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .map(line => line.trimEnd())
    .filter(line => line.trim() !== '' && !/^\s*(#private|private )/.test(line))
    .join('\n')
}
