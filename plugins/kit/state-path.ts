import { existsSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'

/**
 * Where something is kept that an option names by a relative path: below `$STATE_DIRECTORY` where a service manager has made a folder for that (systemd's
 * `StateDirectory=`), else below the config's folder. What is in the config's folder already stays there: a broker must not begin anew because somebody has added
 * such a line to its unit.
 */
export function statePath(configFolder: string, path: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const besideConfig = resolve(configFolder, path)
  // There may be several, with colons between them.
  const [given = ''] = (env.STATE_DIRECTORY ?? '').split(':')
  if (given === '' || isAbsolute(path) || existsSync(besideConfig)) return besideConfig
  return resolve(given, path)
}
