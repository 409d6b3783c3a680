// `npm run test:nodes [-- 22 24]`: the whole of `npm test` with each of these versions of Node, which npm brings. Ends with 1 where one of them fails.
import { spawnSync } from 'node:child_process'

const versions = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24']
const failed = versions.filter(version => {
  console.log(`Node ${version}`)
  return spawnSync('npm', ['exec', '--yes', `--package=node@${version}`, '--', 'npm', 'test'], { stdio: 'inherit' }).status !== 0
})
for (const version of failed) console.error(`the tests fail with Node ${version}`)
process.exit(failed.length === 0 ? 0 : 1)
