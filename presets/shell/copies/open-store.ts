import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { OperatorError } from '../../../core/errors.ts'
import type { Log } from '../../../core/log.ts'
import { workersOf } from '../../../plugins/disk/part-folders.ts'
import type { OpenedStore } from '../../../plugins/kit/copies/opened-store.ts'
import { statePath } from '../../../plugins/kit/state-path.ts'
import type { ResolvedConfig } from '../resolved-config.ts'
import { workerCount } from '../workers/worker-count.ts'

/** Where a store is looked for, and who hears of it. */
export interface StorePlace {
  /** The current folder. */
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

/** Opens the store that a text names: `disk:./data`, `redis://cache:6379`, or the config file of the broker that it belongs to. `exists`: it is there already. */
export async function openStore(text: string, exists: boolean, { folder, env, log }: StorePlace): Promise<OpenedStore> {
  if (text.startsWith('disk:')) {
    const [, path = '', workers] = /^disk:(.*?)(?:\?workers=([1-9]\d*))?$/.exec(text) ?? []
    return await openDisk(resolve(folder, path), exists, log, workers === undefined ? undefined : Number(workers))
  }
  if (/^rediss?:\/\//.test(text)) return await openRedis({ url: text }, folder, log)
  if (!existsSync(resolve(folder, text)))
    throw new OperatorError(
      'ERR_ARGUMENTS',
      `${text}: no store; name one as disk:FOLDER, redis://HOST:PORT or rediss://…, or by a config file`,
    )
  const found = await configured(text, folder, env)
  return found.name === 'disk'
    ? await openDisk(statePath(found.folder, (found.options as { path: string }).path), exists, log, found.workers)
    : await openRedis(found.options, found.folder, log)
}

async function openDisk(path: string, exists: boolean, log: Log, workers?: number): Promise<OpenedStore> {
  if (exists && workersOf(path).length === 0) throw new OperatorError('ERR_ARGUMENTS', `disk:${path}: no broker has kept anything there`)
  const { openDiskStore } = await import('../../../plugins/disk/open-store.ts')
  return await openDiskStore(path, log, workers)
}

async function openRedis(options: object, folder: string, log: Log): Promise<OpenedStore> {
  const { openRedisStore } = await import('../../../plugins/redis/open-store.ts')
  return await openRedisStore(options, folder, log)
}

/** The plugin of a config that keeps sessions, and the folder that its paths are relative to. */
async function configured(
  file: string,
  folder: string,
  env: StorePlace['env'],
): Promise<{ readonly name: 'disk' | 'redis'; readonly options: object; readonly folder: string; readonly workers: number }> {
  const config = await resolved(file, folder, env)
  const keeper = config.plugins.find(({ provides }) => provides.includes('sessions'))
  const retainer = config.plugins.find(({ provides }) => provides.includes('retained'))
  const name = keeper?.name
  if (keeper === undefined || keeper !== retainer || (name !== 'disk' && name !== 'redis'))
    throw new OperatorError(
      'ERR_ARGUMENTS',
      `${file}: disk or redis is to keep both sessions and retained messages; of ${name ?? 'none'} and ${retainer?.name ?? 'none'} a running broker makes an export`,
    )
  return { name, options: keeper.options, folder: config.folder, workers: workerCount(config.settings.workers) }
}

/** The folders of `disk` and `diskQueue` by a config. */
export async function foldersOf(file: string, folder: string, env: StorePlace['env']): Promise<Record<string, string>> {
  const config = await resolved(file, folder, env)
  const found: Record<string, string> = {}
  for (const { name, options } of config.plugins)
    if (name === 'disk' || name === 'diskQueue') found[name] = statePath(config.folder, (options as { path: string }).path)
  return found
}

async function resolved(file: string, folder: string, env: StorePlace['env']): Promise<ResolvedConfig> {
  const [{ catalogue }, { loadConfig }, { resolveConfig }] = await Promise.all([
    import('../../index.ts'),
    import('../load-config.ts'),
    import('../config.ts'),
  ])
  const loaded = await loadConfig(catalogue, folder, file, false, { env, command: 'check' })
  return await resolveConfig(catalogue, { file: loaded, env, folder })
}
