import type { Imported, Importer, ImportSource } from './imported.ts'
import { translateMqttx } from './spring/mqttx-options.ts'
import { readSpring } from './spring/profiles.ts'
import { reasonOf, translateSpring } from './spring/spring-options.ts'
import { Translation } from './spring/translation.ts'

/** Reads application.yml of the Java mqttx. */
export const applicationYml: Importer = {
  title: 'application.yml of the Java mqttx',
  recognises: (name, text) =>
    /^application(-[\w.-]+)?\.ya?ml$/i.test(name) || (/\.ya?ml$/i.test(name) && /^mqttx(\.[\w.-]+)?:/m.test(text)),
  translate,
}

async function translate(text: string, source: ImportSource): Promise<Imported> {
  const { properties, notes } = await readSpring(text, source)
  const translation = new Translation(properties, source.name)
  // What mqttx needs a Redis for, this preset has one for; `test` is what enableTestMode makes of it.
  translation.put(
    'preset',
    'dev',
    'Sessions in Redis, as in mqttx. prod besides has limits, metrics and a log for machines, and wants clients to be authenticated.',
  )
  translateMqttx(translation, source)
  translateSpring(translation)
  translation.leaveRest(reasonOf)
  return {
    config: ordered(translation.config),
    comments: translation.comments,
    notes: [...notes, ...translation.notes, ...differences(translation.config)],
    untranslated: translation.untranslated,
  }
}

// The root's own options first, then the sections.
function ordered(config: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(config)
  const isSection = ([, value]: [string, unknown]): boolean => typeof value === 'object' && value !== null && !('expression' in value)
  return Object.fromEntries([...entries.filter(entry => !isSection(entry)), ...entries.filter(isSection)])
}

function differences(config: Record<string, unknown>): string[] {
  const notes = []
  if (config.authHttp === undefined)
    notes.push(
      'mqttx lets anybody connect from anywhere. Here only this machine may, until allowAnonymous: true says that it is meant, or a plugin authenticates (docs/security.md)',
    )
  if (config.enableTestMode !== true)
    notes.push(
      'what the Java mqttx keeps in Redis is not read, though the keys have the same prefixes: use another database (redis.database), or set redis.prefix, where its data is still there',
    )
  notes.push('what else is different, and why: docs/coming-from-mqttx.md')
  return notes
}
