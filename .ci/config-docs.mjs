// Writes docs/config.md, and docs/config.schema.json for editors, from the option schemas in the sources: the text of an option is the JSDoc above it.
//   node .ci/config-docs.mjs           writes
//   node .ci/config-docs.mjs --check   fails where the file is stale or an option has no text
// TypeScript 7 has no compiler API, and the schemas are plain literals, so a small scanner reads them as they stand.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root =
  process.argv.find(argument => argument.startsWith('--root='))?.slice('--root='.length) ??
  join(dirname(fileURLToPath(import.meta.url)), '..')
const target = join(root, 'docs', 'config.md')

/** The parts of a source text that matter here: names, texts, brackets and comments that begin with two stars. */
function tokens(source) {
  const grammar =
    /(?<doc>\/\*\*[\s\S]*?\*\/)|\/\*[\s\S]*?\*\/|\/\/[^\n]*|(?<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)|(?<name>[A-Za-z_$][\w$]*)|(?<number>-?\d[\d_.]*)|(?<mark>[^\s])/g
  const found = []
  for (const match of source.matchAll(grammar)) {
    const [kind, text] = Object.entries(match.groups).find(([, value]) => value !== undefined) ?? []
    if (kind !== undefined) found.push({ kind, text })
  }
  return found
}

/** Reads one value of an object literal: a nested object, a list, or a plain expression kept as text. */
function readValue(list, at) {
  const opening = list[at]?.text
  if (opening === '{') return readObject(list, at + 1)
  if (opening === '[') {
    const items = []
    at++
    while (at < list.length && list[at].text !== ']') {
      if (list[at].text === ',' || list[at].kind === 'doc') at++
      else {
        const item = readValue(list, at)
        items.push(item.value)
        at = item.at
      }
    }
    return { value: items, at: at + 1 }
  }
  let depth = 0
  let text = ''
  while (at < list.length) {
    const token = list[at]
    if (depth === 0 && (token.text === ',' || token.text === '}' || token.text === ']')) break
    if ('{[('.includes(token.text)) depth++
    if ('}])'.includes(token.text)) depth--
    text += token.kind === 'doc' ? '' : token.text
    at++
  }
  return { value: literal(text), at }
}

function readObject(list, at) {
  const entries = {}
  let doc
  while (at < list.length && list[at].text !== '}') {
    const token = list[at]
    if (token.kind === 'doc') {
      doc = plainText(token.text)
      at++
    } else if ((token.kind === 'name' || token.kind === 'text') && list[at + 1]?.text === ':') {
      const { value, at: after } = readValue(list, at + 2)
      entries[token.kind === 'text' ? literal(token.text) : token.text] = { value, doc }
      doc = undefined
      at = after
    } else {
      doc = undefined
      at++
    }
  }
  return { value: entries, at: at + 1 }
}

function literal(text) {
  if (/^['"`]/.test(text)) return text.slice(1, -1).replace(/\\(.)/g, '$1')
  if (/^-?\d[\d_.]*$/.test(text)) return Number(text.replaceAll('_', ''))
  return { true: true, false: false, null: null }[text] ?? (text === 'null' ? null : { source: text })
}

const plainText = comment =>
  comment
    .slice(3, -2)
    .replace(/^\s*\*\s?/gm, '')
    .replace(/\s+/g, ' ')
    .trim()

const bare = []

const declaring = ['defineOptions', 'definePlugin', 'defineManifest']

/** The schemas of a file: `defineOptions({…})`, and `options: {…}` within `definePlugin({…})` and `defineManifest({…})`. */
function schemasOf(file) {
  const list = tokens(readFileSync(file, 'utf8'))
  const schemas = []
  let name
  let doc
  for (let at = 0; at < list.length; at++) {
    if (list[at].kind === 'doc') doc = plainText(list[at].text)
    const called = list[at].text
    if (!declaring.includes(called) || list[at + 1]?.text !== '(' || list[at + 2]?.text !== '{') continue
    const { value } = readObject(list, at + 3)
    const options = called === 'defineOptions' ? value : value.options?.value
    name = called === 'defineOptions' ? sectionOf(list, at) : value.name?.value
    // `options: sharedOptions` names a schema that defineOptions declares elsewhere; without a name of its own it is a second form of another plugin.
    const isList = value.listener?.value === true
    if (name !== undefined && options !== undefined && options.source === undefined) schemas.push({ name, doc, options, isList })
    // A plugin without options has a section all the same, in the JSON Schema.
    else if (called !== 'defineOptions' && name !== undefined && options === undefined) bare.push({ name, doc, isList })
    // What a plugin has at the root of the config goes with the broker's own.
    const root = called === 'defineOptions' ? undefined : value.rootOptions?.value
    if (root !== undefined && root.source === undefined) schemas.push({ name: '', options: root })
    doc = undefined
  }
  return schemas
}

// `export const socketOptions = defineOptions(` is the section `socket`; `settingsSchema` is the root.
function sectionOf(list, at) {
  const name = list[at - 2]?.text ?? ''
  return name === 'settingsSchema' ? '' : name.replace(/(Options|Schema)$/, '')
}

/** Lists of options that several plugins have in common: `const clientTlsOptions = { … }`, by their names. */
function sharedOf(file) {
  const list = tokens(readFileSync(file, 'utf8'))
  return list.flatMap(({ text }, at) => {
    if (text !== 'const' || list[at + 2]?.text !== '=' || list[at + 3]?.text !== '{') return []
    const { value } = readObject(list, at + 4)
    const isList = Object.values(value).every(({ value: option }) => option?.type !== undefined || option?.oneOf !== undefined)
    if (!isList || Object.keys(value).length === 0) return []
    // `clientTls` is `clientTlsOptions` elsewhere.
    const { text: name } = list[at + 1]
    return [name, `${name}Options`].map(known => [known, value])
  })
}

function rows(options, above, problems, file) {
  const lines = []
  for (const [name, { value: option, doc }] of Object.entries(options)) {
    const path = above === '' ? name : `${above}.${name}`
    if (doc === undefined || doc === '') problems.push(`${path}: no text; write a JSDoc comment above it in ${file}`)
    const nested = shared.get(option.properties?.value.source) ?? option.properties?.value
    const forms = option.items?.value?.oneOf?.value
    const element =
      option.items?.value?.properties?.value ?? (Array.isArray(forms) ? forms.find(form => form.properties)?.properties.value : undefined)
    const type = nested === undefined ? (element === undefined || forms !== undefined ? typeText(option) : 'list of objects') : 'object'
    const live = option.live?.value === true ? ' ↻' : ''
    lines.push(`| \`${path}\`${live} | ${cell(type)} | ${cell(defaultText(option))} | ${cell(doc ?? '')} |`)
    if (nested !== undefined) lines.push(...rows(nested, path, problems, file))
    if (element !== undefined) lines.push(...rows(element, `${path}[]`, problems, file))
  }
  return lines
}

const cell = text => text.replaceAll('|', '\\|')

function typeText(option) {
  const {
    type,
    enum: choices,
    minimum,
    maximum,
    oneOf,
    items,
    values,
  } = Object.fromEntries(Object.entries(option).map(([key, entry]) => [key, entry.value]))
  let text = type
  if (Array.isArray(choices)) text = choices.map(choice => `\`${choice}\``).join(', ')
  else if (Array.isArray(oneOf)) text = oneOf.map(typeText).join(' or ')
  else if (items !== undefined) text = `list of ${typeText(items)}`
  else if (values !== undefined) text = `names, each ${typeText(values)}`
  if (typeof text !== 'string') text = 'see the source'
  const known = bound => bound !== undefined && typeof bound !== 'object'
  if (known(minimum) && known(maximum)) text += `, ${minimum} to ${maximum}`
  else if (known(minimum)) text += `, at least ${minimum}`
  else if (known(maximum)) text += `, at most ${maximum}`
  return option.nullable?.value === true || (option.default !== undefined && option.default.value === null) ? `${text}, or null` : text
}

function defaultText(option) {
  if (option.required?.value === true) return '(required)'
  const value = option.default?.value
  if (value === undefined) return ''
  if (value?.source !== undefined) return `\`${value.source}\``
  if (Array.isArray(value)) return `\`${JSON.stringify(value)}\``
  return `\`${typeof value === 'object' && value !== null ? '{}' : value}\``
}

function sources() {
  const files = [join('core', 'options', 'settings.ts')]
  const plugins = join(root, 'plugins')
  if (existsSync(plugins)) {
    for (const entry of readdirSync(plugins, { recursive: true }).sort())
      if (String(entry).endsWith('.ts')) files.push(join('plugins', String(entry)))
  }
  return files
}

const problems = []
const parts = [
  '# Options',
  '',
  '<!-- Written by .ci/config-docs.mjs from the JSDoc of the option schemas. Change it there. -->',
  '',
  "Every option, where it stands in the config, and what it is when nobody sets it. A duration is `'60s'`, `'500ms'`, `'1m'`, `'2h'`, `'1d'` or a",
  "number of milliseconds; a size in bytes is `'2MiB'`, `'64KiB'`, `'10MB'` or a number. `npx mqttx-broker check` prints the values in force and",
  'who set each one. A section turns its plugin on; `false` or `{ enable: false }` turns it off.',
  '',
  'What bears a ↻ can change while the broker runs: [Changing it while it runs](running.md#changing-the-config).',
]
const head = ['', '| Option | Type | Default | |', '|---|---|---|---|']
const files = sources().filter(file => existsSync(join(root, file)))
const shared = new Map(files.flatMap(file => sharedOf(join(root, file))))
const found = files.flatMap(file => schemasOf(join(root, file)).map(schema => ({ ...schema, file })))
const atRoot = found.filter(({ name }) => name === '')
const inSections = found.filter(({ name }) => name !== '').sort((a, b) => (a.name < b.name ? -1 : 1))
for (const { name, doc, schemas } of [
  ...(atRoot.length > 0 ? [{ ...atRoot[0], schemas: atRoot }] : []),
  ...inSections.map(schema => ({ ...schema, schemas: [schema] })),
]) {
  const lines = schemas.flatMap(({ options, file }) => rows(options, name, problems, file))
  parts.push('', name === '' ? '## The broker itself' : `## \`${name}\``)
  if (doc !== undefined) parts.push('', doc)
  if (lines.length > 0) parts.push(...head, ...lines)
}
const text = `${parts.join('\n')}\n`

/** An option as JSON Schema has it. Durations and sizes are texts or numbers, which the broker reads. */
function jsonSchemaOf(option, doc) {
  const said = Object.fromEntries(Object.entries(option).map(([key, entry]) => [key, entry.value]))
  const { type, enum: choices, minimum, maximum, minLength, pattern, oneOf, items, properties, values } = said
  let schema = {}
  if (Array.isArray(choices)) schema.enum = choices
  else if (Array.isArray(oneOf)) schema.anyOf = oneOf.map(one => jsonSchemaOf(one))
  else if (type === 'duration' || type === 'bytes') schema.type = ['string', 'number']
  else if (type === 'list' || type === 'array')
    schema = { type: 'array', ...(items?.source === undefined && items !== undefined && { items: jsonSchemaOf(items) }) }
  else if (type === 'object' && properties !== undefined && properties.source === undefined) schema = objectSchemaOf(properties)
  else if (type === 'object')
    schema = { type: 'object', ...(values !== undefined && values.source === undefined && { additionalProperties: jsonSchemaOf(values) }) }
  else if (typeof type === 'string' && type !== 'any') schema.type = type
  if (type === 'integer' || type === 'number') {
    if (typeof minimum === 'number') schema.minimum = minimum
    if (typeof maximum === 'number') schema.maximum = maximum
  }
  if (type === 'string' && typeof minLength === 'number') schema.minLength = minLength
  if (type === 'string' && typeof pattern === 'string') schema.pattern = pattern
  if ((said.nullable === true || said.default === null) && Object.keys(schema).length > 0) schema = { anyOf: [schema, { type: 'null' }] }
  const isPlain = said.default !== undefined && said.default?.source === undefined
  return { ...(doc !== undefined && doc !== '' && { description: doc }), ...schema, ...(isPlain && { default: said.default }) }
}

function objectSchemaOf(options) {
  const properties = Object.fromEntries(Object.entries(options).map(([name, { value, doc }]) => [name, jsonSchemaOf(value, doc)]))
  const required = Object.keys(options).filter(name => options[name].value.required?.value === true)
  return { type: 'object', properties, ...(required.length > 0 && { required }), additionalProperties: false }
}

function sectionSchemaOf({ doc, options = {}, isList }) {
  const { required: _required, ...section } = objectSchemaOf(options)
  section.properties = { enable: { description: 'false turns the plugin off.', type: 'boolean' }, ...section.properties }
  const forms = [{ type: 'boolean' }, section, ...(isList ? [{ type: 'array', items: section }] : [])]
  return { ...(doc !== undefined && { description: doc }), anyOf: forms }
}

const sections = [...inSections, ...bare].sort((a, b) => (a.name < b.name ? -1 : 1))
const jsonSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'mqttx-broker',
  description:
    'A config of mqttx-broker, as mqttx.config.json and mqttx.config.yaml have it. What is no option here is the section of a plugin of your own.',
  type: 'object',
  properties: {
    $schema: { type: 'string' },
    preset: { description: 'The plugins to begin with: test, dev, prod or standalone.', type: 'string' },
    plugins: {
      description: 'Plugins of your own, after the preset’s: files, relative to the config, or installed packages, or [name, options].',
      type: 'array',
      items: { anyOf: [{ type: 'string' }, { type: 'array' }] },
    },
    ...Object.assign({}, ...atRoot.map(({ options }) => objectSchemaOf(options).properties)),
    ...Object.fromEntries(sections.map(section => [section.name, sectionSchemaOf(section)])),
  },
  additionalProperties: { anyOf: [{ type: 'boolean' }, { type: 'object' }] },
}
const schemaText = `${JSON.stringify(jsonSchema, null, 1)}\n`
const schemaTarget = join(root, 'docs', 'config.schema.json')

if (process.argv.includes('--check')) {
  const isStale = (file, wanted) => !existsSync(file) || readFileSync(file, 'utf8') !== wanted
  if (isStale(target, text)) problems.push('docs/config.md is stale: run  node .ci/config-docs.mjs')
  else if (isStale(schemaTarget, schemaText)) problems.push('docs/config.schema.json is stale: run  node .ci/config-docs.mjs')
} else {
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
  writeFileSync(schemaTarget, schemaText)
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0
