import { expect, test } from 'vitest'
import { networkOf } from '../../plugins/kit/network.ts'

test.each([
  ['192.0.2.1', 64, '192.0.2.1'],
  ['::ffff:192.0.2.1', 64, '192.0.2.1'],
  ['::FFFF:192.0.2.1', 64, '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', 64, '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::6', 64, '2001:db8:1:2::/64'],
  ['2001:db8::6', 48, '2001:db8:0::/48'],
  ['2001:db8:00ff::6', 40, '2001:db8:0::/40'],
  ['2001:db8:ff00::6', 40, '2001:db8:ff00::/40'],
  ['::1', 64, '0:0:0:0::/64'],
  ['::1', 128, '0:0:0:0:0:0:0:1/128'],
  ['::', 1, '0::/1'],
  ['64:ff9b::192.0.2.33', 128, '64:ff9b:0:0:0:0:c000:221/128'],
  ['fe80::1%eth0', 64, 'fe80:0:0:0::/64'],
  ['/run/mqttx.sock', 64, '/run/mqttx.sock'],
  ['no address: at all', 64, 'no address: at all'],
  ['', 64, ''],
])('%s with a prefix of %i counts as %s', (address, prefix, key) => {
  expect(networkOf(address, prefix)).toBe(key)
})

test('a network has 64 bits where nobody says otherwise', () => {
  expect(networkOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
})
