import { importFile } from './import/index.ts'
import { shownUntranslated, writeConfig } from './import/write-config.ts'
import { writeNewFiles } from './init.ts'

/** Translates the config of another broker into `mqttx.config.ts`, and writes what is missing beside it, as `init` does. Returns the lines to print. */
export async function initFrom(
  folder: string,
  from: string,
  env: Readonly<Record<string, string | undefined>>,
  version = '*',
): Promise<string[]> {
  const { imported, title } = await importFile(folder, from, env)
  const { notes, untranslated } = imported
  // Read and written by its owner alone: the passwords of the file stand in it.
  const lines = await writeNewFiles(folder, version, { 'mqttx.config.ts': writeConfig(`${from} (${title})`, imported) }, 0o600)
  return [
    ...lines,
    ...(notes.length > 0 ? ['', 'to know:', ...notes.map(note => `- ${note}`)] : []),
    ...(untranslated.length > 0
      ? ['', `not translated (${untranslated.length}):`, ...untranslated.map(one => `- ${shownUntranslated(one)}`)]
      : ['', 'everything was translated']),
  ]
}
