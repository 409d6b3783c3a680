import { basename } from 'node:path'
import type { OptionSchema, OptionsSchema } from '../../core/options/options.ts'
import { optionAt, showValue } from '../../plugins/kit/options/describe.ts'
import { isRecord } from '../../plugins/kit/options/plain-data.ts'
import { formatBytes, formatDuration } from '../../plugins/kit/options/quantity.ts'
import type { Catalogue } from './catalogue.ts'
import type { ResolvedConfig } from './resolved-config.ts'
import type { ConfigAnswer } from './shell-verb-declarations.ts'

type Row = readonly [path: string, value: string, who: string]

/** The merged config as lines: every option, its value, and who set it. Secrets are masked. */
export function configReport(catalogue: Catalogue, config: ResolvedConfig): string[] {
  const source = config.configFile === undefined ? 'no config file' : basename(config.configFile)
  const { rows, groups } = tableOf(config)
  const all = [...rows, ...groups.flat()]
  const pathWidth = Math.max(...all.map(([path]) => path.length))
  // A long list in one row should not push everybody else's source off the screen.
  const valueWidth = Math.min(40, Math.max(...all.map(([, value]) => value.length)))
  const line = ([path, value, by]: Row) => `${path.padEnd(pathWidth)}  ${value.padEnd(valueWidth)}  ${by}`
  return [
    `mqttx-broker ${catalogue.version}, preset ${config.preset} (${who(config, 'preset')}), ${source}`,
    '',
    ...rows.map(line),
    '',
    `plugins, in order: ${config.plugins.map(plugin => plugin.section ?? plugin.name).join(', ')}`,
    ...groups.flat().map(line),
    ...(config.notes.length > 0 ? ['', ...config.notes] : []),
    ...(config.warnings.length > 0 ? ['', ...config.warnings.map(warning => `warning: ${warning}`)] : []),
  ]
}

/** The same for programs. `match`: only options whose path has this in it. */
export function configAnswer(config: ResolvedConfig, match: string | null): ConfigAnswer {
  const { rows, groups } = tableOf(config)
  const { preset, configFile, warnings, plugins } = config
  return {
    preset,
    file: configFile ?? null,
    plugins: plugins.map(plugin => plugin.section ?? plugin.name),
    warnings,
    rows: [...rows, ...groups.flat()].flatMap(([path, value, by]) => (match === null || path.includes(match) ? [{ path, value, by }] : [])),
  }
}

function tableOf(config: ResolvedConfig): { readonly rows: readonly Row[]; readonly groups: readonly (readonly Row[])[] } {
  const rows: Row[] = [...rowsOf(config.root, config.rootSchema, '', path => who(config, path))]
  const groups: Row[][] = []
  for (const { name, options, section, schema = {} } of config.plugins) {
    const path = section ?? name
    const by = section === undefined ? () => ownersOf(config) : (at: string) => who(config, at)
    const found = rowsOf(options, schema, path, by)
    groups.push(found.length > 0 ? found : [[path, 'on', section === undefined ? ownersOf(config) : onBy(config, path)]])
  }
  return { rows, groups }
}

function rowsOf(values: object, schema: OptionsSchema, above: string, by: (path: string) => string, keys: string[] = []): Row[] {
  const rows: Row[] = []
  for (const [key, value] of Object.entries(values)) {
    const path = above === '' ? key : `${above}.${key}`
    const inner = [...keys, key]
    if (isRecord(value) && Object.keys(value).length > 0) rows.push(...rowsOf(value, schema, path, by, inner))
    else rows.push([path, show(value, optionAt({ type: 'object', properties: schema }, inner, undefined), key), by(path)])
  }
  return rows
}

function show(value: unknown, option: OptionSchema | undefined, key: string): string {
  if (typeof value === 'number' && option !== undefined && 'type' in option) {
    if (option.type === 'duration') return formatDuration(value)
    if (option.type === 'bytes') return formatBytes(value)
  }
  if (typeof value !== 'string') return showValue(value, key, option?.secret)
  const shown = showValue(value, key, option?.secret)
  return shown === '***' ? shown : shown.replace(/^"(.*)"$/, '$1')
}

function who(config: ResolvedConfig, path: string): string {
  return config.provenance.get(path) ?? 'default'
}

// A plugin without options is there because somebody named it, or because the preset lists it.
function onBy(config: ResolvedConfig, path: string): string {
  return config.provenance.get(`${path}.enable`) ?? config.provenance.get(path) ?? `preset ${config.preset}`
}

function ownersOf(config: ResolvedConfig): string {
  return config.provenance.has('plugins') ? `plugins (${config.provenance.get('plugins')})` : 'preset'
}
