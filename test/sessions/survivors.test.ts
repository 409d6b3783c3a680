import { expect, test } from 'vitest'
import { survivors } from '../../core/sessions/survivors.ts'
import { startBroker } from '../support/broker.ts'
import { coreOf } from '../support/core.ts'

test('a session that is written again belongs to the user that it belonged to, whoever its client has authenticated as since', async () => {
  const started = await startBroker()
  started.hooks.onAuthenticate.tap('test', () => true)
  await started.connect({ version: 5, clientId: 'a', username: 'first', properties: { sessionExpiry: 100 } })
  const { roster } = coreOf(started)
  roster.get('a')!.username = 'second'
  expect([...survivors(roster.all())]).toMatchObject([{ key: { clientId: 'a' }, user: 'first' }])
})
