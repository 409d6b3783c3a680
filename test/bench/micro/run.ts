import { Bench } from 'tinybench'
import * as decoder from './decoder.bench.ts'
import * as encoder from './encoder.bench.ts'
import * as hooks from './hooks.bench.ts'
import * as router from './router.bench.ts'
import * as rowSums from './row-sums.bench.ts'

/** `npm run bench:micro [-- NAME]`: what single parts cost, in one process. Each file says at its head what it measures and why. */
const suites = { decoder, encoder, router, hooks, rowSums }
const only = process.argv[2]

for (const [name, { title, add }] of Object.entries(suites)) {
  if (only !== undefined && only !== name) continue
  const bench = new Bench({ time: 400, warmupTime: 200 })
  add(bench)
  await bench.run()
  console.log(`\n${name}: ${title}`)
  for (const { name: task, result } of bench.tasks) {
    if (result.state !== 'completed') throw new Error(`${task}: ${result.state}`)
    console.log(`${(result.latency.p50 * 1e6).toFixed(0).padStart(10)} ns  ${task}`)
  }
}
