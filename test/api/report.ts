import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** One thing that the package exports: its declaration, without comments, and whether a sentence says what it is. */
export interface Exported {
  readonly name: string
  readonly declaration: string
  readonly isDescribed: boolean
}

/** A declaration as it stands in a declaration file, with its comments. */
export interface Declaration {
  readonly name: string
  readonly file: string
  readonly text: string
  /** The same with the members that other parts of the package add to it. */
  readonly whole: string
  /** A comment stands before it. */
  readonly isDescribed: boolean
}

/** What an entry's declaration file exports, by name. */
export function exportsOf(entry: string): Exported[] {
  const found = declarationsOf(entry).map(({ name, whole, isDescribed }) => ({ name, declaration: withoutComments(whole), isDescribed }))
  const unique = new Map(found.map(one => [one.name, one]))
  return [...unique.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The declarations of what an entry's declaration file exports. */
export function declarationsOf(entry: string): Declaration[] {
  const source = readFileSync(entry, 'utf8')
  const found: Declaration[] = []
  for (const [, list, from] of source.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gms)) {
    const file = declarationFile(entry, from!)
    for (const part of list!.split(',')) {
      const name = part.trim().replace(/^type /, '')
      if (name === '') continue
      const [original = name, shown = original] = name.split(' as ')
      found.push({ ...declared(file, original), name: shown })
    }
  }
  for (const [, from] of source.matchAll(/^export (?:type )?\* from '([^']+)';/gm))
    found.push(...declarationsOf(declarationFile(entry, from!)))
  for (const [, name] of source.matchAll(/^export (?:declare )?(?:abstract )?(?:const|function|class|interface|type) (\w+)/gm))
    found.push(declared(entry, name!))
  return found
}

/** The declaration of a name in a file, or in the file of the package that it is imported from; undefined where it is neither. */
export function declarationOf(file: string, name: string, source = readFileSync(file, 'utf8')): Declaration | undefined {
  const start = new RegExp(`^(?:export )?(?:declare )?(?:abstract )?(?:const|function|class|interface|type) ${name}\\b`, 'm').exec(source)
  if (start !== null) {
    const isDescribed = source.slice(0, start.index).trimEnd().endsWith('*/')
    const text = statementAt(source, start.index)
    return { name, file, text, whole: text.replace(/\}$/, `${addedMembers(file, name)}}`), isDescribed }
  }
  const from = new RegExp(`(?:import|export) (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from '(\\.[^']+)'`).exec(source)?.[1]
  return from === undefined ? undefined : declared(declarationFile(file, from), name)
}

// By the folder of a build: by the file and the name of an interface or a class, what `declare module` adds to it elsewhere.
const additions = new Map<string, ReadonlyMap<string, string>>()

/** What `declare module` adds to an interface or a class, with comments. */
function addedMembers(file: string, name: string): string {
  const root = /^(.*)\/(?:core|plugins|presets|test)\//.exec(file)?.[1]
  if (root === undefined) return ''
  let known = additions.get(root)
  if (known === undefined) additions.set(root, (known = additionsIn(root)))
  return known.get(`${file} ${name}`) ?? ''
}

function additionsIn(root: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const ring of ['core', 'plugins', 'presets'])
    for (const one of readdirSync(join(root, ring), { recursive: true, encoding: 'utf8' }).sort()) {
      if (!one.endsWith('.d.ts')) continue
      const importer = join(root, ring, one)
      for (const [, target, block] of readFileSync(importer, 'utf8').matchAll(/^declare module '([^']+)' \{\n(.*?)^\}/gms))
        for (const [, to, members] of block!.matchAll(/^ {4}interface (\w+) \{\n(.*?)^ {4}\}/gms)) {
          const key = `${declarationFile(importer, target!)} ${to}`
          found.set(key, `${found.get(key) ?? ''}${members!.replaceAll(/^ {4}/gm, '')}`)
        }
    }
  return found
}

function declared(file: string, name: string): Declaration {
  const found = declarationOf(file, name)
  if (found === undefined) throw new Error(`${file} does not declare ${name}`)
  return found
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
