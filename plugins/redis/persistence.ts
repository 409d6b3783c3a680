/** What Redis does with what it has acknowledged. */
export interface Persistence {
  /** Why it may lose some of it; empty: it does not, as far as it says. */
  readonly warnings: readonly string[]
  /** What is worth knowing, and no reason to worry. */
  readonly notes: readonly string[]
}

/** Looks at one server; `ask` rejects where the user may not. */
export async function persistenceOf(ask: (name: string, ...parts: string[]) => Promise<unknown>): Promise<Persistence> {
  const info = String(await ask('INFO').catch(() => ''))
  const config = new Map<string, string>()
  for (const name of ['appendonly', 'appendfsync', 'save', 'maxmemory-policy']) {
    const reply = (await ask('CONFIG', 'GET', name).catch(() => [])) as unknown[]
    if (Array.isArray(reply) && reply.length === 2) config.set(name, String(reply[1]))
  }
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1]
  const aof = config.get('appendonly') ?? (field('aof_enabled') === undefined ? undefined : field('aof_enabled') === '1' ? 'yes' : 'no')
  const warnings: string[] = []
  const notes: string[] = []
  if (aof === undefined)
    warnings.push('it could not be looked at whether it keeps what it acknowledges (the user may run neither INFO nor CONFIG GET)')
  if (aof === 'no') {
    const save = config.get('save')
    const how = save === '' ? 'it keeps nothing on disk (appendonly no, no snapshots)' : 'it keeps snapshots at most (appendonly no)'
    warnings.push(`${how}, so a restart loses what was acknowledged${save === '' ? '' : ' since the last one'}; set appendonly yes`)
  }
  const sync = aof === 'yes' ? config.get('appendfsync') : undefined
  if (sync === 'no')
    warnings.push(
      'appendfsync is no, so a loss of power loses what was acknowledged in the last half minute; set appendfsync everysec or always',
    )
  if (sync === 'everysec')
    notes.push('appendfsync is everysec: a loss of power may lose what was acknowledged in the last second; always loses nothing')
  const policy = config.get('maxmemory-policy') ?? field('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    const maxmemory = field('maxmemory')
    const when = maxmemory === '0' ? 'as soon as it has a maxmemory' : 'when its memory is full'
    warnings.push(`it has maxmemory-policy ${policy}, so it throws sessions and messages away ${when}; set maxmemory-policy noeviction`)
  }
  return { warnings, notes }
}
