import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Each source file of a folder with what it imports from within the project, paths relative to the root. `types`: whether what is only types counts. */
function importsOf(folder: string, types = true): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const file = join(folder, name)
    const text = readFileSync(join(root, file), 'utf8')
    const targets = [...text.matchAll(/^(?:import|export) (type )?(?:[^'"]*? from )?'(\.[^']*)'|\bimport\('(\.[^']*)'\)/gm)].flatMap(
      ([, type, fixed, later]) => (type !== undefined && !types ? [] : [fixed ?? later!]),
    )
    found.set(
      file,
      targets.map(target => relative(root, join(root, dirname(file), target))),
    )
  }
  return found
}

test('core imports nothing from plugins and presets', () => {
  const wrong = [...importsOf('core')].flatMap(([file, targets]) =>
    targets.filter(target => !target.startsWith(`core${sep}`)).map(target => `${file} -> ${target}`),
  )
  expect(wrong).toEqual([])
})

test('plugins import from core and from their own folder, never from each other', () => {
  const wrong = [...importsOf('plugins')].flatMap(([file, targets]) => {
    const own = file.split(sep).slice(0, 2).join(sep)
    // The list of all of them.
    if (file === join('plugins', 'index.ts')) return []
    return targets.filter(target => !target.startsWith(`core${sep}`) && !target.startsWith(own + sep)).map(target => `${file} -> ${target}`)
  })
  expect(wrong).toEqual([])
})

test('no file needs itself, by way of others, to be loaded', () => {
  const graph = new Map([...importsOf('core', false), ...importsOf('plugins', false)])
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file].join(' -> '))
    if (done.has(file) || way.includes(file)) return
    for (const target of graph.get(file) ?? []) visit(target, [...way, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  expect(cycles).toEqual([])
})

test('a file of more than 500 lines says in its head why', () => {
  const long = ['core', 'plugins', 'presets'].flatMap(folder =>
    [...importsOf(folder).keys()].filter(file => {
      const text = readFileSync(join(root, file), 'utf8')
      return text.split('\n').length > 501 && !/^\/\/ Why it is long:/m.test(text)
    }),
  )
  expect(long).toEqual([])
})
