import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { statePath } from '../../plugins/kit/state-path.ts'
import { folderWith } from '../config/folder.ts'

test('state is kept beside the config, or in the first of the folders that a service manager has made for it', async () => {
  const config = await folderWith()
  expect(statePath(config, './data', {})).toBe(join(config, 'data'))
  expect(statePath(config, './data', { STATE_DIRECTORY: '' })).toBe(join(config, 'data'))
  expect(statePath(config, './data', { STATE_DIRECTORY: '/var/lib/a' })).toBe('/var/lib/a/data')
  expect(statePath(config, 'queue', { STATE_DIRECTORY: '/var/lib/a:/var/lib/b' })).toBe('/var/lib/a/queue')
  expect(statePath(config, '/srv/data', { STATE_DIRECTORY: '/var/lib/a' })).toBe('/srv/data')
})

test('what is beside the config already stays there', async () => {
  const config = await folderWith()
  await mkdir(join(config, 'data'))
  expect(statePath(config, './data', { STATE_DIRECTORY: '/var/lib/a' })).toBe(join(config, 'data'))
})
