import { expect, test } from 'vitest'
import { AddressList, networkOf, readNetwork } from '../../plugins/kit/network.ts'
import { addressTest } from '../../plugins/kit/verbs/clients.ts'

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

test.each([
  ['10.1.2.3', { address: '10.1.2.3', version: 4, prefix: 32 }],
  ['10.1.0.0/16', { address: '10.1.0.0', version: 4, prefix: 16 }],
  ['10.1.0.0/0', { address: '10.1.0.0', version: 4, prefix: 0 }],
  ['::ffff:10.1.0.0/112', { address: '10.1.0.0', version: 4, prefix: 16 }],
  ['2001:db8::/64', { address: '2001:db8::', version: 6, prefix: 64 }],
  ...['10.1.0.0/', '10.1.0.0/33', '10.1.0.0/-1', '10.1.0.0/ 8', '10.1.0.0/8/8', '::ffff:10.1.0.0/8', 'example.com', '/run/a.sock', ''].map(
    text => [text, null] as const,
  ),
] as const)('%s is read as a network in one way', (text, network) => {
  expect(readNetwork(text)).toEqual(network)
  if (network === null && text.includes('/')) {
    expect(() => addressTest(text)).toThrow('is no address and no network')
    expect(() => new AddressList([text], 'proxies')).toThrow(`proxies[0]: ${text} is no address`)
  } else if (network?.prefix === 16) {
    for (const has of [addressTest(text), (address: string) => new AddressList([text], 'proxies').has(address)])
      expect(['10.1.9.9', '::ffff:10.1.9.9', '10.2.0.0', '::1'].map(has)).toEqual([true, true, false, false])
  }
})
