import type { ImportSource } from '../imported.ts'
import { type Property, readDocuments, type SpringDocument } from './properties.ts'
import { readValue } from './value.ts'

/** All properties that count with the profiles that are active: of a later document or file before those of an earlier one. */
export interface SpringConfig {
  /** By their canonical name. */
  readonly properties: ReadonlyMap<string, Property>
  /** The active profiles, in order. */
  readonly profiles: readonly string[]
  /** The files that were read, in order. */
  readonly files: readonly string[]
  readonly notes: readonly string[]
}

const activeName = 'spring.profiles.active'
const conditionNames = ['spring.config.activate.onprofile', 'spring.profiles']

/** Reads application.yml, and beside it application-NAME.yml of each active profile. */
export async function readSpring(text: string, source: ImportSource): Promise<SpringConfig> {
  const notes: string[] = []
  const files = [source.name]
  const base = readDocuments(source.name, text)
  const profiles = activeProfiles(base, source.env, notes)
  const documents = [...base]
  for (const profile of profiles) {
    const found = await profileFile(source, profile)
    if (found === undefined) continue
    files.push(found.name)
    documents.push(...readDocuments(found.name, found.text))
  }
  const properties = new Map<string, Property>()
  for (const document of documents) {
    if (!counts(document, profiles)) continue
    for (const [name, property] of document.properties) {
      if (name === activeName || conditionNames.includes(name)) continue
      // The last to say it is where it stands.
      properties.delete(name)
      properties.set(name, property)
    }
  }
  if (profiles.length > 0) notes.unshift(`translated with the profiles ${profiles.join(', ')}, from ${files.join(', ')}`)
  return { properties, profiles, files, notes }
}

async function profileFile(source: ImportSource, profile: string): Promise<{ name: string; text: string } | undefined> {
  for (const extension of ['.yml', '.yaml']) {
    const name = source.name.replace(/\.ya?ml$/i, `-${profile}${extension}`)
    const text = await source.read(name)
    if (text !== undefined) return { name, text }
  }
  return undefined
}

// As Spring: the variable counts before the file; included ones and those of a group come besides.
function activeProfiles(documents: readonly SpringDocument[], env: ImportSource['env'], notes: string[]): string[] {
  const said = new Map<string, unknown>()
  for (const { properties } of documents) {
    if (conditionNames.some(name => properties.has(name))) continue
    for (const [name, { value }] of properties) said.set(name, value)
  }
  const lookup = (name: string): unknown => said.get(name.toLowerCase().replace(/[-_]/g, ''))
  const listed = (raw: unknown): string[] =>
    (Array.isArray(raw) ? raw : [raw])
      .flatMap(one => namesIn(one, lookup, env, notes))
      .map(one => one.trim())
      .filter(one => one !== '')
  const fromVariable = env.SPRING_PROFILES_ACTIVE
  const active = fromVariable === undefined ? listed(said.get(activeName) ?? '') : listed(fromVariable)
  const all = [...listed(said.get('spring.profiles.include') ?? ''), ...active]
  const whole = all.flatMap(name => [name, ...listed(said.get(`spring.profiles.group.${name.toLowerCase().replace(/[-_]/g, '')}`) ?? '')])
  // A name becomes part of a file's name.
  return [...new Set(whole)].filter(name => /^[\w.-]+$/.test(name))
}

function namesIn(raw: unknown, lookup: (name: string) => unknown, env: ImportSource['env'], notes: string[]): string[] {
  if (raw === '' || raw === null) return []
  try {
    const value = readValue(raw, lookup)
    const text = value.textWith(env)
    if (value.literal === undefined)
      notes.push(`spring.profiles.active depends on a variable (${String(raw)}): translated with ${text === '' ? 'none' : text}`)
    return text.split(',')
  } catch (error) {
    notes.push(
      `spring.profiles.active: ${(error as Error).message}; SPRING_PROFILES_ACTIVE=dev npx mqttx-broker init --from … translates with a profile`,
    )
    return []
  }
}

// `default` is active where no other is.
function counts({ properties }: SpringDocument, profiles: readonly string[]): boolean {
  const active = profiles.length === 0 ? ['default'] : profiles
  for (const name of conditionNames) {
    const condition = properties.get(name)?.value
    if (condition === undefined || condition === null) continue
    const any = Array.isArray(condition) ? condition.map(String) : String(condition).split(',')
    if (!any.some(expression => holds(expression, active))) return false
  }
  return true
}

// `prod & (eu | us)`, `!test`.
function holds(expression: string, active: readonly string[]): boolean {
  const tokens = expression.match(/[()!&|]|[^\s()!&|]+/g) ?? []
  let at = 0
  const any = (): boolean => {
    let value = all()
    while (tokens[at] === '|') {
      at += 1
      value = all() || value
    }
    return value
  }
  const all = (): boolean => {
    let value = one()
    while (tokens[at] === '&') {
      at += 1
      value = one() && value
    }
    return value
  }
  const one = (): boolean => {
    const token = tokens[at++]
    if (token === '!') return !one()
    if (token !== '(') return token !== undefined && active.includes(token)
    const value = any()
    at += 1
    return value
  }
  return any()
}
