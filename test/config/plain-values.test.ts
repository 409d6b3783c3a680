import { expect, test } from 'vitest'
import type { PluginManifest } from '../../core/manifest.ts'
import type { OptionSchema, OptionsSchema } from '../../core/options/options.ts'
import { settingsSchema } from '../../core/options/settings.ts'
import { clone } from '../../plugins/kit/options/plain-data.ts'
import { onlyAjvKnows, plainOptions } from '../../plugins/kit/options/plain-values.ts'
import { problemsByAjv } from '../../plugins/kit/options/validation.ts'
import { catalogue } from '../../presets/index.ts'

const values: unknown[] = [
  ...[true, null, 0, 1, -1, 1.5, 7, 1e9, 2 ** 53, Number.NaN, '', 'a', '5', '10s', '2KiB', '𝒳', 'x'.repeat(300), [], ['a'], [1], [null]],
  ...[{}, { a: 1 }, [{}], [['a']]],
]

/** Values that an option may or may not take, among them each of its choices and what lies at its bounds. */
function candidates(option: OptionSchema): unknown[] {
  const own = Object.entries(option).flatMap(([key, bound]) => (/^(minimum|maximum|default)$/.test(key) ? [bound, Number(bound) + 1] : []))
  const choices = 'enum' in option ? (option.enum ?? []) : []
  const deeper =
    'properties' in option
      ? Object.entries(option.properties).flatMap(([name, part]) => candidates(part).map(one => ({ [name]: one })))
      : []
  const items = 'items' in option ? candidates(option.items).map(one => [one]) : []
  const named = 'values' in option ? candidates(option.values).map(one => ({ name: one })) : []
  const forms = 'oneOf' in option ? option.oneOf.flatMap(candidates) : []
  return [...values, ...own, ...choices, ...deeper, ...items, ...named, ...forms]
}

const schemas: [name: string, schema: OptionsSchema][] = [
  ['the root', settingsSchema],
  ...Object.entries(catalogue.plugins).map(
    ([name, { manifest }]) => [name, (manifest as PluginManifest).options ?? {}] as [string, OptionsSchema],
  ),
]

test.each(schemas)('what is taken without ajv is what ajv takes, and becomes the same: %s', (_name, schema) => {
  let plainly = 0
  for (const [name, option] of Object.entries(schema)) {
    for (const value of candidates(option)) {
      const plain = plainOptions(schema, clone({ [name]: value }) as Record<string, unknown>)
      if (plain === onlyAjvKnows) continue
      plainly += 1
      const options = clone({ [name]: value })
      expect({ name, value, problems: problemsByAjv(schema, options, ''), options }).toEqual({ name, value, problems: [], options: plain })
    }
  }
  // Where an option is a must, none of the others is enough alone.
  const isFree = Object.values(schema).every(({ required }) => required !== true)
  if (isFree && Object.keys(schema).length > 0) expect(plainly).toBeGreaterThan(0)
})
