import { isRecord } from '../../../plugins/kit/options/plain-data.ts'
import { shownText } from '../../../plugins/kit/shown-text.ts'
import { Code, type Imported } from './imported.ts'

const lineMax = 140

/** The text of `mqttx.config.ts` for what was translated from `from`: commented, with what was not translated at its end. */
export function writeConfig(from: string, { config, comments = {}, notes, untranslated }: Imported): string {
  const codes = codesIn(config)
  const usesEnvironment = codes.length > 0
  const lines = [
    "import { defineConfig } from 'mqttx-broker'",
    '',
    ...(codes.some(({ expression }) => expression.includes('missing(')) ? [missingText] : []),
    ...comment(`Translated from ${from} by npx mqttx-broker init --from.`),
    ...comment('npx mqttx-broker          runs this'),
    ...comment('npx mqttx-broker check    prints every option, its value and who set it'),
    ...(notes.length > 0 ? ['//', ...notes.flatMap(note => comment(`- ${note}`, '  '))] : []),
    usesEnvironment ? 'export default defineConfig(({ env }) => ({' : 'export default defineConfig({',
    ...properties(config, '', '  ', comments),
    usesEnvironment ? '}))' : '})',
  ]
  if (untranslated.length > 0) {
    lines.push('', '// Not translated:')
    for (const one of untranslated) lines.push(...comment(`- ${shownUntranslated(one)}`, '  '))
  }
  return `${lines.join('\n')}\n`
}

/** One line about something that was not translated. */
export function shownUntranslated({ file, line, text, reason }: Imported['untranslated'][number]): string {
  const place = `${file ?? ''}${line > 0 ? `:${line}` : ''}`.replace(/^:/, 'line ')
  return `${place === '' ? '' : `${place}: `}${shownText(text)}: ${reason}`
}

function properties(
  record: Readonly<Record<string, unknown>>,
  above: string,
  indent: string,
  comments: Readonly<Record<string, string>>,
): string[] {
  return Object.entries(record).flatMap(([name, value]) => {
    const path = above === '' ? name : `${above}.${name}`
    const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name)
    const said = Object.hasOwn(comments, path) ? comment(comments[path]!).map(line => indent + line) : []
    const written = valueLines(value, path, indent, comments)
    written[0] = `${indent}${key}: ${written[0]}`
    written[written.length - 1] += ','
    return [...said, ...written]
  })
}

// The first line without its indent, which stands behind a name.
function valueLines(value: unknown, path: string, indent: string, comments: Readonly<Record<string, string>>): string[] {
  if (Array.isArray(value)) {
    const short = `[${value.map(inline).join(', ')}]`
    if (isShort(short, indent)) return [short]
    const items = value.flatMap((item, index) => {
      const lines = valueLines(item, `${path}.${index}`, `${indent}  `, comments)
      lines[0] = `${indent}  ${lines[0]}`
      lines[lines.length - 1] += ','
      return lines
    })
    return ['[', ...items, `${indent}]`]
  }
  if (isRecord(value)) {
    const isCommented = Object.keys(comments).some(at => at.startsWith(`${path}.`))
    const short = inline(value)
    if (!isCommented && isShort(short, indent)) return [short]
    return ['{', ...properties(value, path, `${indent}  `, comments), `${indent}}`]
  }
  return [inline(value)]
}

function isShort(text: string, indent: string): boolean {
  return indent.length + text.length < lineMax - 30
}

function inline(value: unknown): string {
  if (value instanceof Code) return value.expression
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`
  if (!isRecord(value)) return String(value)
  const parts = Object.entries(value).map(([name, part]) => `${/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name)}: ${inline(part)}`)
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

/** A text as TypeScript writes it, in single quotes. */
export function quoted(text: string): string {
  const json = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
  return `'${json.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`
}

// A line break in what was read must not end the comment.
function comment(text: string, hanging = ''): string[] {
  const words = text.replace(/\s+/g, blanks => (/[\n\r\u2028\u2029]/.test(blanks) ? ' ' : blanks))
  const lines: string[] = []
  let line = ''
  for (const word of words.split(/(?<=\S) (?=\S)/)) {
    if (line !== '' && line.length + word.length > lineMax - 10) {
      lines.push(line)
      line = hanging + word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line].map(one => `// ${one}`)
}

function codesIn(value: unknown): Code[] {
  if (value instanceof Code) return [value]
  return Array.isArray(value) || isRecord(value) ? Object.values(value).flatMap(codesIn) : []
}

const missingText = `function missing(variable: string): never {
  throw new Error(variable + ' is not set in the environment')
}
`
