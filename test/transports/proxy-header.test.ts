import { expect, test } from 'vitest'
import { readProxyHeader } from '../../plugins/kit/listening/proxy-header.ts'

// Goal: every header of the PROXY protocol says what it says, one byte at a time too, and nothing else passes for one. Method: literal bytes.

const sig = '0d0a0d0a000d0a515549540a'
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const v1 = (text: string) => Buffer.from(`${text}\r\n`, 'latin1')

/** Version 2 with TLVs behind IPv4 addresses: 203.0.113.7:56324 to 192.0.2.1:1883. */
function v2(tlvs = '', family = '11', addresses = 'cb007107 c0000201 dc04 075b'): Buffer {
  const body = hex(addresses + tlvs)
  const head = hex(`${sig} 21 ${family} 0000`)
  head.writeUInt16BE(body.length, 14)
  return Buffer.concat([head, body])
}

test.each([
  ['v1 IPv4', v1('PROXY TCP4 203.0.113.7 192.0.2.1 56324 1883'), '203.0.113.7', 56324],
  ['v1 IPv6', v1('PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883'), '2001:db8::7', 56324],
  ['v1 UNKNOWN', v1('PROXY UNKNOWN'), null, 0],
  ['v1 UNKNOWN with more', v1('PROXY UNKNOWN ffff::1 ffff::2 1 2'), null, 0],
  ['v2 IPv4', v2(), '203.0.113.7', 56324],
  ['v2 IPv6', v2('', '21', '20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 075b'), '2001:db8::7', 56324],
  ['v2 LOCAL', hex(`${sig} 20 00 0000`), null, 0],
  ['v2 LOCAL with addresses, which count for nothing', hex(`${sig} 20 11 000c cb007107 c0000201 dc04 075b`), null, 0],
  ['v2 of an unspecified family', hex(`${sig} 21 00 0004 01020304`), null, 0],
  ['v2 from a Unix socket', v2('', '31', '00'.repeat(216)), null, 0],
] as const)('%s, whole and byte by byte', (_name, bytes, address, port) => {
  const withMore = Buffer.concat([bytes, hex('10 0f')])
  expect(readProxyHeader(withMore)).toMatchObject({ size: bytes.length, address, port })
  for (let length = 0; length < bytes.length; length++) expect(readProxyHeader(bytes.subarray(0, length)), String(length)).toBeNull()
})

test('the facts of TLS and the name of the certificate', () => {
  // ALPN mqtt, SNI example.com, SSL with all flags and verified: version, common name "meter-7, hall", cipher.
  const tlvs =
    '01 0004 6d717474  02 000b 6578616d706c652e636f6d  20 0030 07 00000000 21 0007 544c5376312e33 22 000d 6d657465722d372c2068616c6c 23 000e 5f5f5f5f5f5f5f5f5f5f5f5f5f5f'
  const { tls, certificate } = readProxyHeader(v2(tlvs))!
  expect(tls).toEqual({ version: 'TLSv1.3', cipher: '______________', serverName: 'example.com', alpn: 'mqtt' })
  expect(certificate).toMatchObject({ commonName: 'meter-7, hall', subject: 'CN=meter-7\\, hall', verified: true })
})

test('a certificate that the proxy did not verify is not verified, and one that was not shown is none', () => {
  expect(readProxyHeader(v2('20 000b 07 00000012 22 0003 6d6574'))!.certificate).toMatchObject({ commonName: 'met', verified: false })
  expect(readProxyHeader(v2('20 000b 01 00000000 22 0003 6d6574'))!.certificate).toBeUndefined()
  expect(readProxyHeader(v2('20 0005 00 00000000'))).not.toHaveProperty('tls')
})

test('a name with a control character is no name', () => {
  expect(readProxyHeader(v2('20 000b 07 00000000 22 0003 610a62'))!.certificate).toMatchObject({ commonName: undefined, subject: '' })
})

test.each([
  ['MQTT', hex('10 0f 00 04')],
  ['a TLS hello', hex('16 03 01')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['POST, which begins with the same letter', Buffer.from('POST')],
  ['v1 of another family', v1('PROXY UDP4 1.2.3.4 1.2.3.4 1 2')],
  ['v1 with an address of the other family', v1('PROXY TCP4 ::1 ::1 1 2')],
  ['v1 with a port too large', v1('PROXY TCP4 1.2.3.4 1.2.3.4 65536 2')],
  ['v1 with a part too many', v1('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3')],
  ['v1 without its end', Buffer.from('PROXY TCP4 '.padEnd(107, '1'))],
  ['v2 of version 3', hex(`${sig} 31 11 0000`)],
  ['v2 with an unknown command', hex(`${sig} 22 11 0000`)],
  ['v2 of an unknown family', hex(`${sig} 21 51 0000`)],
  ['v2 too short for its addresses', hex(`${sig} 21 11 0004 cb007107`)],
  ['v2 that says it is larger than is read', hex(`${sig} 21 11 ffff`)],
  ['v2 whose value ends outside', v2('20 00ff 01')],
  ['v2 whose TLS facts are cut', v2('20 0002 0100')],
] as const)('%s is refused', (_name, bytes) => {
  expect(() => readProxyHeader(bytes)).toThrow()
})
