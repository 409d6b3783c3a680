import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { definePlugin } from '../../core/plugin.ts'
import { MemorySessions } from '../../plugins/memory/memory-sessions.ts'
import { folderWith } from '../config/folder.ts'
import { startBroker } from '../support/broker.ts'
import { proveUnderNodeTest } from './stranger.ts'

// Goal: the store that docs/writing-a-store.md shows is one, proven as the page says, by a stranger's test runner on the
// package as it is installed.

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = await readFile(join(root, 'docs', 'writing-a-store.md'), 'utf8')
const [store, proof] = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code!)

test('its store passes the contract under node:test, and one that forgets to write to the disk does not', async () => {
  const prove = (code: string) => proveUnderNodeTest({ 'file-retained.ts': code, 'proof.test.ts': proof! })
  const { status, stdout } = await prove(store!)
  expect(stdout).toMatch(/^# tests [1-9]/m)
  expect({ status, failed: stdout.match(/not ok .*/g) }).toEqual({ status: 0, failed: null })
  const forgetful = await prove(store!.replace(/await this.#file!.appendFile.*/, ''))
  expect(forgetful.status).toBe(1)
  expect(forgetful.stdout).toContain('not ok')
  expect(forgetful.stdout).toMatch(/not ok \d+ - are what they were after the broker was killed/)
})

test('its plugin takes the place of the built-in owner', async () => {
  const folder = await folderWith({ 'file-retained.ts': store! })
  const path = join(folder, 'kept.log')
  const sessions = definePlugin({
    name: 'ownSessions',
    provides: ['sessions'],
    apply: ({ services, clock }) => services.provide('sessions', new MemorySessions(clock), 'ownSessions'),
  })
  const { connect } = await startBroker({ memory: false, plugins: [[join(folder, 'file-retained.ts'), { path }], sessions()] })
  const client = await connect()
  await client.publish('a', 'x', { qos: 1, retain: true })
  expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(2)
  await client.subscribe('#')
  expect(await client.message()).toMatchObject({ topic: 'a', retain: true })
})
