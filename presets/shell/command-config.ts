import type { Catalogue } from './catalogue.ts'
import type { RunCommand } from './command-line.ts'
import type { ResolvedConfig } from './resolved-config.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The config that a command line names, in a folder: read, merged and checked. `again`: as it is now, though it was read before. */
export async function commandConfig(
  catalogue: Catalogue,
  command: RunCommand,
  env: Environment,
  folder: string,
  again = false,
): Promise<ResolvedConfig> {
  const [{ loadConfig }, { resolveConfig }] = await Promise.all([import('./load-config.ts'), import('./config.ts')])
  const file = await loadConfig(catalogue, folder, command.configFile, again, { env, command: command.name })
  return await resolveConfig(catalogue, { file, env, assignments: command.assignments, folder })
}
