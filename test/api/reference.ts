import { readFileSync } from 'node:fs'
import { type Declaration, declarationOf, declarationsOf } from './report.ts'

/** The reference of one entry, as Markdown: each name with its sentence, its declaration with the comments of its members, and links to what it speaks of. */
export function referenceOf(entry: string, name: string): string {
  const found = new Map(declarationsOf(entry).map(one => [one.name, one]))
  // What `Hooks` stands for is what makes them.
  const hooks = found.get('Hooks')
  const maker = hooks === undefined ? undefined : declarationOf(hooks.file, 'createHooks')
  if (hooks !== undefined && maker !== undefined) found.set('Hooks', { ...maker, name: 'Hooks' })
  // Packets that hooks show have no name of their own in the package.
  for (const one of ['Hooks', 'Packet'])
    for (const packet of found.get(one)?.text.match(/\b[A-Z]\w+Packet\b/g) ?? []) {
      const declared = declarationOf(found.get(one)!.file, packet)
      if (declared !== undefined && !found.has(packet)) found.set(packet, declared)
    }
  const all = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const names = new Set(found.keys())
  const index = all.map(({ name: one }) => `[${one}](#${one.toLowerCase()})`).join(' · ')
  const head = `# ${name}\n\nGenerated from the declarations by \`UPDATE_API=1 npx vitest run test/api\`; do not edit. What is \`readonly\` is the broker's to write.\n`
  return `${head}\n${index}\n${all.map(one => sectionOf(one, names)).join('')}`
}

function sectionOf({ name, file, text, whole }: Declaration, names: ReadonlySet<string>): string {
  const code = whole.trim()
  const shown = code
    .replace(/^export declare function createHooks\(.*?\): /, 'export type Hooks = ')
    .replaceAll(/(, void)?, import\("tapable"\)\.UnsetAdditionalOptions/g, '')
    .replaceAll(/^ *#private;\n/gm, '')
  const mentioned = [...new Set(code.replaceAll(/\/\*\*.*?\*\//gs, '').match(/\b[A-Z]\w+\b/g) ?? [])]
  const links = mentioned.filter(one => one !== name && names.has(one)).map(one => `[${one}](#${one.toLowerCase()})`)
  const sentence = sentenceBefore(file, text.trim())
  const parts = [`## ${name}`, sentence, `\`\`\`ts\n${shown}\n\`\`\``, links.length === 0 ? '' : `See ${links.join(', ')}.`]
  return `\n${parts.filter(part => part !== '').join('\n\n')}\n`
}

/** The comment that stands before a declaration, as text. */
function sentenceBefore(file: string, code: string): string {
  const source = readFileSync(file, 'utf8')
  const before = source.slice(0, source.indexOf(code)).trimEnd()
  if (!before.endsWith('*/')) return ''
  const comment = before.slice(before.lastIndexOf('/**') + 3, -2)
  return comment
    .split('\n')
    .map(line => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim()
}
