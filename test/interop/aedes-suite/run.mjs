// aedes' own tests against `mqttx-broker/aedes`, from an unpacked aedes of npm's registry, which is no part of this project:
//   npm pack aedes@1 && tar xzf aedes-1.*.tgz
//   AEDES_PACKAGE=$PWD/package node test/interop/aedes-suite/run.mjs [FILE…]
// Where a test imports aedes it gets `mqttx-broker/aedes` (shim.mjs). expected.json names, each with its reason, the tests that touch what aedes does not document (`internals`), those
// that demand what MQTT forbids or this broker promises not to do (`mustNot`), and those that demand what is done otherwise here. Ends with 1 where another test fails.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run } from 'node:test'

const folder = process.env.AEDES_PACKAGE
if (folder === undefined) {
  console.error('AEDES_PACKAGE: the folder of an unpacked aedes: npm pack aedes@1 && tar xzf aedes-1.*.tgz; AEDES_PACKAGE=$PWD/package')
  process.exit(2)
}
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const { files: leftOut, internals, mustNot, otherwise } = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8'))
const isTest = name => /\.(js|cjs)$/.test(name) && name !== 'helper.js' && !(name in leftOut)
const chosen = process.argv.slice(2)
const files = (chosen.length > 0 ? chosen : readdirSync(join(folder, 'test')).filter(isTest)).map(name => join(folder, 'test', name))

// The processes that the test runner starts load the shim by this.
process.env.NODE_OPTIONS = `--import ${new URL('shim.mjs', import.meta.url)} --no-warnings`
const results = new Map()
const note = (file, data, outcome) => {
  // A file that ends ill by itself is reported like a test, by its path.
  const key = `${basename(file)}: ${data.name === file ? 'the file as a whole' : data.name}`
  if (data.nesting === 0 && (data.name !== file || outcome === 'failed'))
    results.set(key, { outcome: data.skip !== undefined || data.todo !== undefined ? 'skipped' : outcome, why: data.details?.error })
}
const waiting = [...files]
const runNext = async () => {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const stream = run({ files: [file], timeout: 120_000 })
    const one = file
    stream.on('test:pass', data => note(one, data, 'passed'))
    stream.on('test:fail', data => note(one, data, 'failed'))
    stream.resume()
    await new Promise(resolve => stream.on('end', resolve))
  }
}
await Promise.all([runNext(), runNext()])

const names = [...results].filter(([, { outcome }]) => outcome !== 'skipped')
const failed = names.filter(([, { outcome }]) => outcome === 'failed')
const unexpected = failed.filter(([name]) => ![internals, mustNot, otherwise].some(list => Object.hasOwn(list, name)))
for (const [name] of failed) if (Object.hasOwn(otherwise, name)) console.log(`otherwise   ${name}: ${otherwise[name]}`)
for (const [name, { why }] of unexpected)
  console.log(`UNEXPECTED  ${name}: ${String(why?.cause?.message ?? why?.message ?? why).split('\n')[0]}`)
const listed = [internals, mustNot].map(list => names.filter(([name]) => Object.hasOwn(list, name)).length)
const total = names.length - listed[0] - listed[1]
const passed = names.filter(
  ([name, { outcome }]) => outcome === 'passed' && !Object.hasOwn(internals, name) && !Object.hasOwn(mustNot, name),
).length
console.log(
  `aedes ${version}, Node ${process.versions.node}: ${passed} of ${total} tests of the documented API pass (${((100 * passed) / total).toFixed(1)} %). ` +
    `Besides, ${listed[0]} touch internals, ${listed[1]} demand what must not be, ${results.size - names.length} are skipped by aedes; left out: ${Object.keys(leftOut).join(', ')}`,
)
process.exit(unexpected.length === 0 ? 0 : 1)
