// Builds the page that plugin admin serves: page/ becomes a handful of files in dist/page, with what they use of npm in them.
//   node .ci/page.mjs FOLDER    FOLDER is where `tsc` has put everything
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const source = join(root, 'page')
const target = join(resolve(process.argv[2]), 'page')
const modules = join(root, 'node_modules')
mkdirSync(target, { recursive: true })

const build = await rolldown({
  input: join(source, 'page.tsx'),
  platform: 'browser',
  // How JSX is read stands in page/tsconfig.json.
  onLog(level, log) {
    if (level !== 'debug') throw new Error(log.message)
  },
})
const { output } = await build.generate({ format: 'es', minify: true, codeSplitting: false, comments: false })

const files = new Map([['page.js', output[0].code]])
const sheets = [join(modules, 'uplot/dist/uPlot.min.css'), ...['base', 'frame', 'parts'].map(name => join(source, 'styles', `${name}.css`))]
files.set(
  'page.css',
  sheets
    .map(sheet =>
      readFileSync(sheet, 'utf8')
        .replaceAll(/\/\*.*?\*\//gs, '')
        .replaceAll(/\n\s+/g, '\n'),
    )
    .join('\n'),
)
for (const name of ['index.html', 'theme.js', 'icon.svg']) files.set(name, readFileSync(join(source, name), 'utf8'))
files.set('licences.txt', licences())
for (const [name, text] of files) writeFileSync(join(target, name), text)
copyFileSync(join(modules, '@fontsource-variable/inter/files/inter-latin-wght-normal.woff2'), join(target, 'inter.woff2'))
for (const name of readdirSync(target)) if (!files.has(name) && name !== 'inter.woff2') rmSync(join(target, name))

/** The licences of what is in the files: they ask to be passed on. */
function licences() {
  const require = createRequire(import.meta.url)
  return ['preact', 'uplot', '@fontsource-variable/inter']
    .map(name => {
      const folder = join(modules, name)
      const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      return `${name} ${version}\n\n${readFileSync(require.resolve(join(folder, 'LICENSE')), 'utf8').trim()}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}
