// After `tsc`: joins the compiled files of core, of the kit, of the command line and of each plugin into a file each, since Node takes longer to find and open two hundred
// files than to run them (start of preset `test` on Node 20: 630 → 420 ms of CPU). Names of functions and classes stay, and nothing is made short, so stack traces can be read and breakpoints set.
//   node .ci/bundle.mjs FOLDER    FOLDER is where `tsc` has put everything; declarations stay as they are
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const folder = resolve(process.argv[2])
const { bin, exports } = JSON.parse(readFileSync(join(dirname(fileURLToPath(import.meta.url)), '..', 'package.json'), 'utf8'))
const targets = [...Object.values(bin), ...Object.values(exports).map(one => one.default)]
const entries = targets.filter(Boolean).map(target => target.replace(/^(\.\/)?dist\//, ''))

// Where two fit, the first; a part takes along what it imports, unless an earlier one has.
const parts = [
  // A verb of the command line is to need nothing else.
  [/^presets\/shell\/ask\//, 'ask'],
  [/^core\//, 'core'],
  [/^plugins\/kit\//, 'kit'],
  [/^presets\/shell\//, 'shell'],
  // What every preset has, and what is asked of each plugin before it is loaded.
  [
    /^plugins\/([^/]+\/[^/]*manifest|(drop-log|memory|retain|share-topic|socket|sys-topic)\/.*|limits\/(limits|limit-log|attempts-only))\.js$/,
    'basics',
  ],
]

// What is loaded only where it is needed stays a file of its own, and so does what that alone brings along: cosmiconfig, for one.
const lazy = new Set(
  javascriptIn(folder).flatMap(file => {
    const targets = readFileSync(join(folder, file), 'utf8').matchAll(/\bimport\('(\.[^']+)'\)/g)
    return [...targets].map(([, target]) => join(dirname(file), target))
  }),
)
const isIn = ([pattern, part], id) => {
  const within = relative(folder, id)
  return pattern.test(within) && (part === 'ask' || part === 'basics' || !lazy.has(within))
}

const build = await rolldown({
  input: Object.fromEntries(entries.map(entry => [entry.replace(/\.js$/, ''), join(folder, entry)])),
  platform: 'node',
  external: id => !/^[./]/.test(id),
  // Whatever else it warns of is an error.
  onLog(level, log) {
    if (level !== 'debug' && log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') throw new Error(log.message)
  },
})
const made = mkdtempSync(join(folder, '.bundle-'))
try {
  await build.write({
    dir: made,
    entryFileNames: '[name].js',
    chunkFileNames: ({ name, moduleIds }) => `chunks/${parts.some(([, part]) => part === name) ? name : named(name, moduleIds)}.js`,
    codeSplitting: {
      groups: parts.map((part, i) => ({ name: part[1], priority: parts.length - i, test: id => isIn(part, id) })),
    },
    keepNames: true,
    minifyInternalExports: false,
  })
  const files = javascriptIn(made)
  // A broker may run from there: each file is there at all times.
  for (const file of files) {
    inAscii(join(made, file))
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    renameSync(join(made, file), join(folder, file))
  }
  for (const file of javascriptIn(folder)) if (!files.includes(file)) rmSync(join(folder, file))
} finally {
  rmSync(made, { recursive: true, force: true })
}

/**
 * One character above U+00FF, in a comment even, and V8 keeps two bytes for each of the file: four files of 200 to 300 KB had such a one (anonymous memory of preset
 * `test` 21.4 → 20.7 MiB). As an escape it says the same in any text; where it is in none, it is in a comment.
 */
function inAscii(file) {
  const code = readFileSync(file, 'utf8')
  const ascii = code.replaceAll(/[^\0-\x7f]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  if (ascii !== code) writeFileSync(file, ascii)
}

/** `redis`, `message-bridge-kafka-target`: by the last module, of which the chunk consists. */
function named(name, moduleIds) {
  // The bundler's own helpers.
  if (!moduleIds.at(-1)?.startsWith(folder)) return name
  const within = relative(folder, moduleIds.at(-1)).replace(/\.js$/, '')
  return within.replace(/^(plugins|presets)\//, '').replaceAll('/', '-')
}

function javascriptIn(root) {
  const found = readdirSync(root, { recursive: true, withFileTypes: true })
  const names = found.filter(one => one.isFile() && /\.js$/.test(one.name)).map(one => relative(root, join(one.parentPath, one.name)))
  // The page is made by .ci/page.mjs.
  return names.filter(name => !name.startsWith('page/'))
}
