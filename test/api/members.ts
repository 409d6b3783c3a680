import { readFileSync } from 'node:fs'
import { type Declaration, declarationOf, declarationsOf } from './report.ts'

/** `Type.member` of each member, of whatever an entry exports and of the types that it mentions, that has no doc comment. */
export function undescribedMembers(entry: string): string[] {
  const seen = new Set<string>()
  const found: string[] = []
  const waiting = declarationsOf(entry)
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    const key = `${one.file} ${one.name}`
    if (seen.has(key)) continue
    seen.add(key)
    const interfaces = /^[^{]*\bimplements ([^{]+)/.exec(one.text)?.[1] ?? ''
    // Editors show the comment of the interface that a class implements.
    const inherited = (interfaces.match(/\w+/g) ?? []).map(name => declarationOf(one.file, name)?.text ?? '').join('\n')
    // What a plugin adds to these is explained in its manifest, or by the verb's own declaration.
    const shown = named.has(one.name) ? one.text : one.whole
    for (const member of undescribed(shown)) if (!new RegExp(`\\b${member}\\b`).test(inherited)) found.push(`${one.name}.${member}`)
    waiting.push(...mentionedBy(one))
  }
  return [...new Set(found)].sort()
}

const named = new Set(['LimitCounts', 'DropCounts', 'PluginCounts', 'VerbMap'])

// What a declaration mentions that its file declares or imports from another of the package's.
function mentionedBy({ file, name, text }: Declaration): Declaration[] {
  const source = readFileSync(file, 'utf8')
  const names = new Set(text.replaceAll(/\/\*[\s\S]*?\*\//g, '').match(/\b[A-Z]\w*/g))
  names.delete(name)
  return [...names].flatMap(other => declarationOf(file, other, source) ?? [])
}

/** The names of members without a comment in front, of an interface, a class or a type that is one object. */
function undescribed(text: string): string[] {
  if (!/^(?:export )?(?:declare )?(?:abstract )?(?:interface|class|type [\w$<>, ]+ = \{)/.test(text)) return []
  if (/^} \| /m.test(text)) return []
  const isError = /^[^{]*\bextends \w*Error\b/.test(text)
  const found: string[] = []
  let previous = ''
  for (const line of text.split('\n')) {
    // As the compiler writes them, a member begins with four blanks, and what belongs to it with more.
    const member = /^ {4}(?:static |readonly |get |set |abstract )*([\w$]+)[?]?[(:<]/.exec(line)?.[1]
    const isDescribed = previous.endsWith('*/') || new RegExp(`^ {4}(?:get )?${member}\\(`).test(previous)
    const needsNone = member === 'constructor' || member === 'private' || (isError && member === 'name')
    if (member !== undefined && !isDescribed && !needsNone) found.push(member)
    if (line.trim() !== '') previous = line
  }
  return found
}
