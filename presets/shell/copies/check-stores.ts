import { partPaths, workersOf } from '../../../plugins/disk/part-folders.ts'
import { formatBytes } from '../../../plugins/kit/options/quantity.ts'
import { statePath } from '../../../plugins/kit/state-path.ts'
import type { Examined } from '../probe.ts'
import type { ResolvedConfig } from '../resolved-config.ts'

/** Reads all rows in the folders of a config, and names each that is not as it was written. */
export async function checkStores(config: ResolvedConfig): Promise<Examined> {
  const lines: string[] = []
  const problems: string[] = []
  for (const { name, options } of config.plugins) {
    if (name !== 'disk' && name !== 'diskQueue') continue
    const folder = statePath(config.folder, (options as { path: string }).path)
    const paths = workersOf(folder).flatMap(count => partPaths(folder, count))
    if (paths.length === 0) lines.push(`${name}: ${folder}: no broker has kept anything there`)
    const { checkRows } = await import('../../../plugins/disk/check-rows.ts')
    for (const path of paths) {
      const { rows, bytes, unsummed, damaged, problem } = await checkRows(path, name, row =>
        problems.push(`${name}: ${path}: damaged: ${row.text} (key ${row.key})`),
      )
      if (problem !== null) problems.push(`${name}: ${path}: ${problem}`)
      const without = unsummed > 0 ? `; ${unsummed} have no checksum before this version has started on them` : ''
      lines.push(`${name}: ${path}: ${rows} rows (${formatBytes(bytes)}) were read, ${damaged} of them damaged${without}`)
    }
  }
  if (lines.length + problems.length === 0) lines.push('--store: no plugin of this config keeps anything on disk')
  return { lines, problems }
}
