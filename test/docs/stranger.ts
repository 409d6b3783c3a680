import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folderWith } from '../config/folder.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a `proof.test.ts` under node:test in a folder of its own, as somebody would who has only the package. */
export async function proveUnderNodeTest(files: Record<string, string>): Promise<{ status: number | null; stdout: string }> {
  const folder = await folderWith({ 'package.json': '{ "type": "module" }', ...files })
  const alias = {
    'mqttx-broker/contracts': join(root, 'test/contracts/suite/index.ts'),
    'mqttx-broker/kit': join(root, 'plugins/kit/index.ts'),
    'mqttx-broker': join(root, 'presets/index.ts'),
  }
  const env = { ...process.env, JITI_ALIAS: JSON.stringify(alias) }
  const register = join(root, 'node_modules/jiti/lib/jiti-register.mjs')
  const args = ['--import', register, '--test', '--test-reporter', 'tap', join(folder, 'proof.test.ts')]
  return spawnSync(process.execPath, args, { encoding: 'utf8', env })
}
