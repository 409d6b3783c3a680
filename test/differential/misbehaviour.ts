import type { Misbehaviour } from './script.ts'

/** The bytes of something that no client may send. Hexadecimal; `v5` where a version with properties has more bytes. */
export function bytesOf(kind: Misbehaviour, version: number): Buffer {
  const has = version === 5
  /** One packet: its first byte, and the rest in hexadecimal. */
  const packet = (first: string, ...rest: string[]): Buffer => {
    const body = Buffer.from(rest.join('').replaceAll(' ', ''), 'hex')
    return Buffer.concat([Buffer.from(first, 'hex'), Buffer.from([body.length]), body])
  }
  const none = has ? '00' : ''
  const t = '0001 74'
  switch (kind) {
    case 'second CONNECT':
      return packet('10', version === 3 ? '0006 4d5149736470 03' : `0004 4d515454 0${version}`, '02 0000', none, '0001 78')
    case 'PUBLISH to a wildcard':
      return packet('30', '0003 61 2f 23', none, '78')
    case 'PUBLISH to an empty topic':
      return packet('30', '0000', none, '78')
    case 'PUBLISH at QoS 3':
      return packet('36', t, '0001', none, '78')
    case 'PUBLISH with identifier 0':
      return packet('32', t, '0000', none, '78')
    case 'PUBLISH with NUL in its topic':
      return packet('30', '0003 74 00 74', none, '78')
    case 'PUBLISH that is no UTF-8':
      return packet('30', '0002 c3 28', none, '78')
    case 'PUBLISH with DUP at QoS 0':
      return packet('38', t, none, '78')
    case 'PUBLISH with an unknown alias':
      return has ? packet('30', '0000', '03 23 0005', '78') : packet('30', '0000')
    case 'PUBLISH with alias 0':
      return has ? packet('30', t, '03 23 0000', '78') : packet('30', '0000')
    case 'PUBLISH with an alias that is too high':
      return has ? packet('30', t, '03 23 ffff', '78') : packet('30', '0000')
    case 'PUBLISH with a subscription identifier':
      return has ? packet('30', t, '02 0b 01', '78') : packet('30', '0000')
    case 'PUBLISH with one property twice':
      return has ? packet('30', t, '04 01 01 01 01', '78') : packet('30', '0000')
    case 'PUBLISH with an unknown property':
      return has ? packet('30', t, '02 7f 01', '78') : packet('30', '0000')
    case 'PUBLISH with a response topic with a wildcard':
      return has ? packet('30', t, '04 08 0001 23', '78') : packet('30', '0000')
    case 'SUBSCRIBE without filters':
      return packet('82', '0001', none)
    case 'SUBSCRIBE with wrong flags':
      return packet('80', '0001', none, t, '00')
    case 'SUBSCRIBE at QoS 3':
      return packet('82', '0001', none, t, '03')
    case 'SUBSCRIBE with identifier 0':
      return packet('82', '0000', none, t, '00')
    case 'SUBSCRIBE to a/#/b':
      return packet('82', '0001', none, '0005 612f232f62', '00')
    case 'SUBSCRIBE to a+':
      return packet('82', '0001', none, '0002 612b', '00')
    case 'SUBSCRIBE to nothing':
      return packet('82', '0001', none, '0000', '00')
    case 'SUBSCRIBE with subscription identifier 0':
      return has ? packet('82', '0001', '02 0b 00', t, '00') : packet('82', '0000', t, '00')
    case 'SUBSCRIBE with retain handling 3':
      return packet('82', '0001', none, t, '30')
    case 'SUBSCRIBE with reserved option bits':
      return packet('82', '0001', none, t, 'c0')
    case 'SUBSCRIBE shared with No Local':
      return packet('82', '0001', none, '000a 2473686172652f672f74', has ? '04' : '00')
    case 'SUBSCRIBE shared without a group':
      return packet('82', '0001', none, '0009 2473686172652f2f74', '00')
    case 'SUBSCRIBE shared without a filter':
      return packet('82', '0001', none, '0008 2473686172652f67', '00')
    case 'UNSUBSCRIBE without filters':
      return packet('a2', '0001', none)
    case 'UNSUBSCRIBE with wrong flags':
      return packet('a0', '0001', none, t)
    case 'UNSUBSCRIBE with identifier 0':
      return packet('a2', '0000', none, t)
    case 'UNSUBSCRIBE from a/#/b':
      return packet('a2', '0001', none, '0005 612f232f62')
    case 'PUBACK of nothing':
      return packet('40', 'fff0')
    case 'PUBREC of nothing':
      return packet('50', 'fff0')
    case 'PUBREL of nothing':
      return packet('62', 'fff0')
    case 'PUBCOMP of nothing':
      return packet('70', 'fff0')
    case 'PUBREL with wrong flags':
      return packet('60', 'fff0')
    case 'PUBACK with wrong flags':
      return packet('41', 'fff0')
    case 'PINGREQ with wrong flags':
      return packet('c1')
    case 'PINGREQ with a payload':
      return packet('c0', '00')
    case 'PINGRESP':
      return packet('d0')
    case 'CONNACK':
      return packet('20', '0000', none)
    case 'SUBACK':
      return packet('90', '0001', none, '00')
    case 'UNSUBACK':
      return packet('b0', '0001', has ? '00 00' : '')
    case 'DISCONNECT with wrong flags':
      return packet('e1')
    case 'DISCONNECT with an unknown reason':
      return has ? packet('e0', '77') : packet('e0', '00')
    case 'packet type 0':
      return packet('00')
    case 'packet type 15':
      return version === 5 ? packet('f1') : packet('f0')
    case 'a length of five bytes':
      return Buffer.from('30ffffffff7f', 'hex')
    case 'a packet cut short by its length':
      return packet('30', '0005 74')
  }
}
