import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { loadConfig } from '../../core/load-config.ts'
import type { Plugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import { type Config, catalogue } from '../../presets/index.ts'
import { folderWith } from '../config/folder.ts'
import { settled, startBroker } from '../support/broker.ts'
import { keptLog } from '../support/log.ts'

/** The plugin of docs/writing-a-plugin.md, which imports nothing, in a folder beside the config that names it there. */
async function fromTheDocs(): Promise<string> {
  const page = await readFile(new URL('../../docs/writing-a-plugin.md', import.meta.url), 'utf8')
  const [, code] = /```js\n(.*?)```/s.exec(page)!
  const [, config] = /```json\n(.*?)```/s.exec(page)!
  return folderWith({ 'five-hooks.js': code!, 'mqttx.config.json': config!, 'package.json': '{"type":"module"}' })
}

const ways: [string, (folder: string) => Promise<Config['plugins']>][] = [
  [
    'named in a config',
    async folder => {
      const { values } = (await loadConfig(catalogue, folder))!
      return (values as { plugins: string[] }).plugins.map(path => join(folder, path))
    },
  ],
  ['handed over', async folder => [((await import(pathToFileURL(join(folder, 'five-hooks.js')).href)) as { default: Plugin }).default]],
]

test.each(ways)('a plugin of five hooks in plain JavaScript, %s, does what the docs say', async (_way, pluginsOf) => {
  const { lines, plugin } = keptLog()
  const plugins = [...((await pluginsOf(await fromTheDocs())) ?? []), plugin]
  const { open, connect } = await startBroker({ log: false, plugins })

  expect(await open(5).connect({ version: 5, clientId: 'bad-one' })).toMatchObject({ reasonCode: ReasonCode.NotAuthorized })

  const child = await connect({ version: 5, clientId: 'child-1' })
  const adult = await connect({ version: 5, clientId: 'adult-1' })
  expect(await child.subscribe(['secret', 'bulk/data', 'shout', 'adults'], 1)).toEqual([ReasonCode.NotAuthorized, 0, 1, 1])
  expect(await adult.subscribe(['adults'], 1)).toEqual([1])

  await adult.publish('shout', 'good morning', { qos: 1 })
  expect((await child.receive()).payload.toString()).toBe('GOOD MORNING')
  await child.publish('adults', 'wine', { qos: 1 })
  expect((await adult.receive()).payload.toString()).toBe('wine')
  expect(await child.payloads()).toEqual([])

  child.disconnect()
  await child.closed
  await settled()
  expect(lines.map(({ message }) => message)).toContain('1 left')
})
