import { isIPv4, isIPv6 } from 'node:net'
import type { PeerCertificate, ProxiedTls } from '../../../core/connection/transport.ts'

/** What a header of the PROXY protocol says of the client behind the proxy. */
export interface ProxyHeader {
  /** Bytes of the header; what comes behind is the client's. */
  readonly size: number
  /** The client's address; `null`: the proxy speaks for itself (`LOCAL`, `UNKNOWN`), as it does to see whether the broker is well. */
  readonly address: string | null
  /** The client's port; 0 where there is none. */
  readonly port: number
  /** TLS between the client and the proxy. */
  readonly tls?: ProxiedTls | undefined
  /** The certificate that the client showed to the proxy: its common name, and whether the proxy verified it. */
  readonly certificate?: PeerCertificate | undefined
}

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const v1Start = Buffer.from('PROXY ')
// By the specification: the longest line of version 1 with its line end.
const v1BytesMax = 107
/** The longest header of version 2 that is read: addresses, names, and a client certificate of usual size. */
export const proxyHeaderBytesMax = 8192
const unixAddressBytes = 216

/** The header at the beginning of these bytes; `null`: there are too few to say. Throws, with the reason, where there is none. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null {
  if (startsAs(bytes, signature)) return bytes.length < 16 ? null : readV2(bytes)
  if (startsAs(bytes, v1Start)) return readV1(bytes)
  throw new Error('no header of the PROXY protocol')
}

function startsAs(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

function readV1(bytes: Buffer): ProxyHeader | null {
  const end = bytes.subarray(0, v1BytesMax).indexOf('\r\n')
  if (end === -1) {
    if (bytes.length >= v1BytesMax) throw new Error(`a PROXY line of more than ${v1BytesMax} bytes`)
    return null
  }
  const [, family, source = '', target = '', sourcePort = '', targetPort = '', ...more] = bytes.toString('latin1', 0, end).split(' ')
  const size = end + 2
  if (family === 'UNKNOWN') return { size, address: null, port: 0 }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false
  if (!isAddress(source) || !isAddress(target) || !isPort(sourcePort) || !isPort(targetPort) || more.length > 0)
    throw new Error('a PROXY line that is damaged')
  return { size, address: source, port: Number(sourcePort) }
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function readV2(bytes: Buffer): ProxyHeader | null {
  const version = bytes[12]! >> 4
  const command = bytes[12]! & 15
  const family = bytes[13]! >> 4
  const length = bytes.readUInt16BE(14)
  const size = 16 + length
  if (version !== 2 || command > 1) throw new Error('a PROXY header of an unknown version or command')
  if (size > proxyHeaderBytesMax) throw new Error(`a PROXY header of ${size} bytes, above ${proxyHeaderBytesMax}`)
  if (bytes.length < size) return null
  if (command === 0) return { size, address: null, port: 0 }
  const body = bytes.subarray(16, size)
  switch (family) {
    case 1:
      if (length < 12) throw new Error('a PROXY header that is too short for its addresses')
      return { size, address: body.subarray(0, 4).join('.'), port: body.readUInt16BE(8), ...told(body.subarray(12)) }
    case 2:
      if (length < 36) throw new Error('a PROXY header that is too short for its addresses')
      return { size, address: ipv6(body), port: body.readUInt16BE(32), ...told(body.subarray(36)) }
    case 3:
      // The client came to the proxy by a Unix socket, and has no address.
      if (length < unixAddressBytes) throw new Error('a PROXY header that is too short for its addresses')
      return { size, address: null, port: 0, ...told(body.subarray(unixAddressBytes)) }
    case 0:
      return { size, address: null, port: 0 }
    default:
      throw new Error('a PROXY header of an unknown family of addresses')
  }
}

/** As Node writes the addresses of its sockets: the longest run of zeros is left out. */
function ipv6(body: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => body.readUInt16BE(index * 2).toString(16)).join(':')
  return new URL(`http://[${groups}]`).hostname.slice(1, -1)
}

const tlv = { alpn: 0x01, authority: 0x02, ssl: 0x20, sslVersion: 0x21, sslCommonName: 0x22, sslCipher: 0x23 } as const
const usesSsl = 1
const showedCertificate = 6

function told(bytes: Buffer): Pick<ProxyHeader, 'tls' | 'certificate'> {
  const values = readValues(bytes)
  const ssl = values.get(tlv.ssl)
  if (ssl === undefined) return {}
  if (ssl.length < 5) throw new Error('a PROXY header whose TLS facts are damaged')
  const client = ssl[0]!
  if ((client & usesSsl) === 0) return {}
  const facts = readValues(ssl.subarray(5))
  const tls: ProxiedTls = {
    version: textOf(facts.get(tlv.sslVersion)),
    cipher: textOf(facts.get(tlv.sslCipher)),
    serverName: textOf(values.get(tlv.authority)),
    alpn: textOf(values.get(tlv.alpn)),
  }
  const commonName = textOf(facts.get(tlv.sslCommonName))
  if ((client & showedCertificate) === 0) return { tls }
  return { tls, certificate: certificateOf(commonName, ssl.readUInt32BE(1) === 0) }
}

/** The proxy tells no more of a certificate than its name; the rest is empty. */
function certificateOf(commonName: string | undefined, verified: boolean): PeerCertificate {
  const subject = commonName === undefined ? '' : `CN=${commonName.replace(/[\\,+"<>;]/g, '\\$&')}`
  return { subject, commonName, issuer: '', serialNumber: '', fingerprint: '', validFrom: 0, validTo: Number.POSITIVE_INFINITY, verified }
}

function readValues(bytes: Buffer): Map<number, Buffer> {
  const values = new Map<number, Buffer>()
  let at = 0
  while (at < bytes.length) {
    if (at + 3 > bytes.length) throw new Error('a PROXY header that ends within a value')
    const end = at + 3 + bytes.readUInt16BE(at + 1)
    if (end > bytes.length) throw new Error('a PROXY header that ends within a value')
    values.set(bytes[at]!, bytes.subarray(at + 3, end))
    at = end
  }
  return values
}

// A name with control characters is none: user names may not have them, and lines of a log neither.
function textOf(bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined || bytes.length === 0 || bytes.length > 1024) return undefined
  const text = bytes.toString('utf8')
  return /[\u0000-\u001f\u007f-\u009f\ufffd]/.test(text) ? undefined : text
}
