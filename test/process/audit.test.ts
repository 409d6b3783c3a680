import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { folderWith } from '../config/folder.ts'

const script = fileURLToPath(new URL('../../.ci/audit.mjs', import.meta.url))

/** Audits a package with one dependency at a registry that answers questions about known weaknesses so; null: not at all. */
async function audit(advisories: object | null): Promise<{ code: number; said: string; asked: unknown }> {
  let asked: unknown
  const registry = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (advisories === null || request.url !== '/-/npm/v1/security/advisories/bulk') return void response.writeHead(404).end('{}')
    const body = Buffer.concat(chunks)
    asked = JSON.parse(String(body[0] === 0x1f ? gunzipSync(body) : body))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(advisories))
  })
  registry.listen(0, '127.0.0.1')
  await once(registry, 'listening')
  onTestFinished(() => {
    registry.closeAllConnections()
    registry.close()
  })
  const root = { name: 'a', version: '1.0.0', dependencies: { weak: '1.0.0' } }
  const weak = { version: '1.0.0', resolved: 'https://registry.example/weak.tgz', integrity: `sha512-${'A'.repeat(86)}==` }
  const folder = await folderWith({
    'package.json': JSON.stringify(root),
    'package-lock.json': JSON.stringify({ ...root, lockfileVersion: 3, packages: { '': root, 'node_modules/weak': weak } }),
  })
  const { port } = registry.address() as AddressInfo
  const child = spawn(process.execPath, [script], {
    cwd: folder,
    env: { ...process.env, npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_cache: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += chunk))
  const [code] = (await once(child, 'close')) as [number]
  return { code, said, asked }
}

const advisory = (severity: string) => ({
  weak: [
    { id: 1, url: 'https://example.com/1', title: 'it is weak', severity, vulnerable_versions: '<2.0.0', cwe: [], cvss: { score: 0 } },
  ],
})

test('a known weakness that is high ends the run, a lower one is named; a registry that does not answer is said to', async () => {
  const high = await audit(advisory('high'))
  expect(high.asked).toEqual({ weak: ['1.0.0'] })
  expect(high).toMatchObject({ code: 1, said: expect.stringContaining('npm audit: weak') })
  expect(await audit(advisory('low'))).toMatchObject({ code: 0, said: 'npm audit: 1 low\n' })
  expect(await audit({})).toMatchObject({ code: 0, said: 'npm audit: nothing known\n' })
  expect(await audit(null)).toMatchObject({ code: 0, said: expect.stringMatching(/this registry does not answer it/) })
})
