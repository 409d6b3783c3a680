// `npm audit` where the registry answers it: a known weakness of what the package brings along, high or worse, ends the run. A registry that only mirrors packages
// does not answer; that is said, and no failure.
import { spawnSync } from 'node:child_process'

const { stdout, error } = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=0', '--fetch-timeout=30000'], {
  encoding: 'utf8',
})
if (error !== undefined) throw error
const report = parsed(stdout)
const counts = report?.metadata?.vulnerabilities
if (counts === undefined) {
  console.log(
    `npm audit: this registry does not answer it (${report?.error?.code || report?.code || 'no answer'}), so nothing was looked up`,
  )
} else {
  const bad = Object.values(report.vulnerabilities ?? {}).filter(({ severity }) => severity === 'high' || severity === 'critical')
  for (const { name, severity, range } of bad) console.error(`npm audit: ${name} ${range}: ${severity}; npm audit fix, or another version`)
  const others = Object.entries(counts).filter(([severity, count]) => severity !== 'total' && count > 0)
  console.log(`npm audit: ${others.length === 0 ? 'nothing known' : others.map(([severity, count]) => `${count} ${severity}`).join(', ')}`)
  if (bad.length > 0) process.exitCode = 1
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
