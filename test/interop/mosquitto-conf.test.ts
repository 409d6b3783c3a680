import { expect, test } from 'vitest'
import { traces } from './conf/both.ts'
import { cases } from './conf/cases.ts'

// Real mosquitto (2.0 or later), and this broker on the same file: whatever clients hear must be the same, to the last property.
test.each(cases)('mosquitto.conf with $name: clients hear the same of both brokers', async one => {
  const { mosquitto, ours } = await traces(one)
  expect(mosquitto.length).toBeGreaterThan(0)
  expect(ours).toEqual(mosquitto)
})
