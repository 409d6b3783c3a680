import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FaultStore } from './faults.ts'

/** A folder of its own. */
export function onDisk(): FaultStore {
  const folder = mkdtempSync(join(tmpdir(), 'mqttx-fault-disk-'))
  return {
    name: 'disk',
    args: ['--preset', 'standalone', '--set', `disk.path=${folder}`],
    async stop() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Nothing survives: what the checker has to find. */
export function onMemory(): FaultStore {
  return { name: 'memory', args: ['--preset', 'test'], async stop() {} }
}
