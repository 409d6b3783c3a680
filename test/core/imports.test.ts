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

/** The ring that a file stands in: an import goes inward only. `plugins/index.ts`, the list of plugins, belongs to the presets. */
function ringOf(file: string): { readonly ring: number; readonly name: string } {
  const [top, folder, ...rest] = file.split(sep)
  if (top === 'core') return { ring: 0, name: 'core' }
  if (top === 'presets' || rest.length === 0) return { ring: 3, name: 'presets' }
  return folder === 'kit' ? { ring: 1, name: 'plugins/kit' } : { ring: 2, name: `plugins/${folder}` }
}

test('imports go inward: core, plugins/kit, one plugin, presets; never from one plugin to another', () => {
  const files = new Map(['core', 'plugins', 'presets'].flatMap(folder => [...importsOf(folder)]))
  const wrong = [...files].flatMap(([file, targets]) => {
    const from = ringOf(file)
    return targets
      .filter(target => files.has(target))
      .filter(target => {
        const to = ringOf(target)
        return to.ring > from.ring || (to.ring === 2 && from.ring === 2 && to.name !== from.name)
      })
      .map(target => `${file} -> ${target}`)
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

/** Circles of files that import each other; imports of types count. */
function circles(): string[][] {
  const graph = new Map(['core', 'plugins', 'presets'].flatMap(folder => [...importsOf(folder)]))
  const found: string[][] = []
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const visit = (file: string): void => {
    index.set(file, index.size)
    low.set(file, index.get(file)!)
    stack.push(file)
    for (const target of graph.get(file) ?? []) {
      if (!graph.has(target)) continue
      if (!index.has(target)) visit(target)
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!))
    }
    if (low.get(file) !== index.get(file)) return
    const circle = stack.splice(stack.indexOf(file))
    if (circle.length > 1) found.push(circle.sort())
  }
  for (const file of graph.keys()) if (!index.has(file)) visit(file)
  return found
}

/** Lines of code: neither blank nor comment. */
function linesOf(file: string): number {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*.*?\*\//gs, '')
  return text.split('\n').filter(line => line.trim() !== '' && !line.trim().startsWith('//')).length
}

test('one circle of types, of a connection and its session, and no other', () => {
  const [largest = [], ...others] = circles().sort((a, b) => b.length - a.length)
  expect(others).toEqual([])
  expect(largest.length).toBeLessThanOrEqual(8)
  expect(largest.reduce((sum, file) => sum + linesOf(file), 0)).toBeLessThanOrEqual(1600)
})

// Core is the protocol, routing, sessions and hooks, and what only they can do: a verdict on rights at each delivery, answers that wait for other nodes, sessions that belong to
// users and survive a store that came back empty, work in slices, and bounds that clients run into. What can be done by what is public stands in plugins/kit, and
// presets/shell/whole-broker.ts puts it around core. More lines here need a reason here.
test('core stays small', () => {
  expect([...importsOf('core').keys()].reduce((sum, file) => sum + linesOf(file), 0)).toBeLessThanOrEqual(8600)
})

test('a file of more than 400 lines says in its head why', () => {
  const long = ['core', 'plugins', 'presets'].flatMap(folder =>
    [...importsOf(folder).keys()].filter(file => {
      const text = readFileSync(join(root, file), 'utf8')
      return text.split('\n').length > 401 && !/^\/\/ Why it is long: \S/m.test(text)
    }),
  )
  expect(long).toEqual([])
})

// What asks Node for time, turns or chance. Microtasks (`queueMicrotask`, `process.nextTick`) may be had from Node: their order follows from the program.
const world =
  /\b(?:set(?:Timeout|Interval|Immediate)\(|performance\.|hrtime|Date\.now|new Date\(\)|Math\.random|random(?:Bytes|UUID|Int|FillSync)\b|getRandomValues)/

/** Who may, and why; a name that ends in `/` is a folder. Everybody else asks the broker's clock, so that a test decides. */
const mayAskNode: Readonly<Record<string, string>> = {
  'plugins/kit/system-clock.ts': 'is that clock',
  'presets/testing/': 'is for programs that run by real time',
  'presets/shell/': 'is the process, not a broker in it',
  'presets/main.ts': 'is the process, not a broker in it',
  'plugins/redis/': 'waits for a server of its own time',
  'plugins/message-bridge/': "hands Kafka's client what it asks for",
  'plugins/ssl/': 'dates certificates by the wall clock, and makes keys',
  'plugins/disk/database.ts': 'stands below the simulated disk',
  'plugins/disk/folder-lock.ts': 'stands below the simulated disk',
  'plugins/admin/token-command.ts': 'is a command of its own process',
  'plugins/kit/password-hash.ts': 'makes salts in commands of their own process',
  'plugins/kit/output/line-output.ts': 'writes to a stream of the process',
  'plugins/kit/transports/handle-trial.ts': 'tries sockets of this Node',
  'plugins/metrics/tap-times.ts': 'measures what code costs',
  'plugins/admin/loop-busy.ts': 'measures what code costs',
  'plugins/admin/rates.ts': 'measures what code costs',
}

test('time, turns and chance come from the clock of the broker', () => {
  const isExcused = (file: string): string | undefined =>
    Object.keys(mayAskNode).find(place => (place.endsWith('/') ? file.startsWith(place) : file === place))
  const asking = ['core', 'plugins', 'presets'].flatMap(folder =>
    [...importsOf(folder).keys()].filter(file => {
      // Comments ask nobody.
      const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
      return world.test(text)
    }),
  )
  expect(asking.filter(file => isExcused(file) === undefined)).toEqual([])
  // Nobody stays on the list who need not.
  expect(Object.keys(mayAskNode).filter(place => !asking.some(file => isExcused(file) === place))).toEqual([])
})

test("aedes' API is made of what the package exports, as a program of anybody's would be", () => {
  const outward = [...importsOf('presets/aedes')].flatMap(([file, targets]) =>
    targets.filter(target => !target.startsWith('presets/aedes/')).map(target => `${file} -> ${target}`),
  )
  expect(outward.filter(one => !/ -> (presets|plugins\/kit)\/index\.ts$/.test(one))).toEqual([])
})
