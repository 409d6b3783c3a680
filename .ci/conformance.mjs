// Writes docs/conformance.md: for each numbered statement of MQTT 5.0 and MQTT 3.1.1 the tests that show it, or why there is none.
//   node .ci/conformance.mjs           writes
//   node .ci/conformance.mjs --check   fails where a statement has neither test nor reason, or both, or does not exist, or the file is stale
// A test shows a statement by naming it in its title: [MQTT-x.y.z-n] is MQTT 5.0's, [MQTT3-x.y.z-n] is 3.1.1's, as the two number differently.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root =
  process.argv.find(argument => argument.startsWith('--root='))?.slice('--root='.length) ??
  join(dirname(fileURLToPath(import.meta.url)), '..')
const target = join(root, 'docs', 'conformance.md')
const named = /\[(MQTT3?-\d+(?:\.\d+)+-\d+)\]/g

/** The string literals of a source text, in order; comments and regular expressions are passed over. */
function literals(source) {
  const grammar =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|(?<=[(,=:[!&|?{};]\s*)\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*|('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`)/g
  return [...source.matchAll(grammar)].flatMap(([, text]) => (text === undefined ? [] : [text.slice(1, -1).replace(/\\(['"`\\])/g, '$1')]))
}

/** Files under `test`, by their path from the root with `/`, in order. */
function testFiles() {
  const folder = join(root, 'test')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .map(entry => `test/${String(entry).replaceAll('\\', '/')}`)
    .sort()
}

const read = file => readFileSync(join(root, file), 'utf8')

/** Statement to the titles that name it, each with its file. */
function findTests(files) {
  const found = new Map()
  for (const file of files.filter(name => name.endsWith('.test.ts') || /-cases[^/]*\.ts$/.test(name))) {
    for (const title of literals(read(file))) {
      for (const [, id] of title.matchAll(named)) {
        const tests = found.get(id) ?? []
        if (!tests.some(test => test.file === file && test.title === title)) tests.push({ file, title })
        found.set(id, tests)
      }
    }
  }
  return found
}

/** Statement to the reason why no test shows it: pairs of literals, `'[MQTT-3.1.2-29]': 'client: …'`. */
function findReasons(files) {
  const found = new Map()
  for (const file of files.filter(name => /^test\/conformance\/exceptions(\/[^/]+)?\.ts$/.test(name))) {
    let id
    for (const text of literals(read(file))) {
      const key = /^\[(MQTT3?-[\d.]+-\d+)\]$/.exec(text)?.[1]
      if (key !== undefined) id = key
      else if (id !== undefined) {
        found.set(id, text)
        id = undefined
      }
    }
  }
  return found
}

const cell = text => text.replaceAll('|', '\\|').replace(/\s+/g, ' ').trim()

/** The titles, file by file. */
function testsCell(titles) {
  const byFile = new Map()
  for (const { file, title } of titles) byFile.set(file, [...(byFile.get(file) ?? []), cell(title.replaceAll(named, ''))])
  return [...byFile].map(([file, sentences]) => `${sentences.join('; ')} ([${file.slice('test/'.length)}](../${file}))`).join('<br>')
}

const files = testFiles()
const tests = findTests(files)
const reasons = findReasons(files)
const problems = []
const known = new Set()
const parts = [
  '# Conformance',
  '',
  '<!-- Written by .ci/conformance.mjs from the titles of the tests and from test/conformance/exceptions. Change it there. -->',
  '',
  'The numbered statements of both standards, and for each the tests that show it, or why there is none. The texts of the statements',
  'stand in appendix B of [MQTT 5.0](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html) and of',
  '[MQTT 3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html).',
]
for (const { standard, prefix, sections } of JSON.parse(read('test/conformance/statements.json'))) {
  const rows = []
  let shown = 0
  let excused = 0
  for (const [section, [first, last]] of Object.entries(sections)) {
    for (let number = first; number <= last; number++) {
      const id = `${prefix}-${section}-${number}`
      known.add(id)
      const titles = tests.get(id)
      const reason = reasons.get(id)
      if (titles !== undefined) shown += 1
      else if (reason !== undefined) excused += 1
      else problems.push(`[${id}]: no test names it and no exception says why`)
      if (titles !== undefined && reason !== undefined) problems.push(`[${id}]: a test names it and an exception says that none can`)
      const what = titles !== undefined ? testsCell(titles) : reason !== undefined ? cell(reason) : '**missing**'
      rows.push(`| MQTT-${section}-${number} | ${what} |`)
    }
  }
  const total = rows.length
  parts.push('', `## ${standard}`, '', `${total} statements: ${shown} shown by tests, ${excused} that none can show here.`)
  parts.push('', '| Statement | Shown by, or why not |', '|---|---|', ...rows)
}
for (const id of new Set([...tests.keys(), ...reasons.keys()])) {
  if (!known.has(id)) problems.push(`[${id}]: no such statement; named in ${tests.get(id)?.[0].file ?? 'the exceptions'}`)
}
const text = `${parts.join('\n')}\n`

if (process.argv.includes('--check')) {
  if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
    problems.push('docs/conformance.md is stale: run  node .ci/conformance.mjs')
  }
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length > 0 ? 1 : 0
} else {
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
}
