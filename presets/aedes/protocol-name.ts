const connectType = 0x10
const names: readonly string[] = ['MQTT', 'MQIsdp']

/** Whether the first bytes of a connection are a CONNECT whose protocol name is none of MQTT. */
export function namesOtherProtocol(bytes: Buffer): boolean {
  if (bytes[0] !== connectType) return false
  // Behind the remaining length, of one to four bytes.
  const at = bytes.findIndex((byte, i) => i > 0 && byte < 0x80) + 1
  if (at === 0 || at > 5 || bytes.length < at + 2) return false
  const end = at + 2 + bytes.readUInt16BE(at)
  return end <= bytes.length && !names.includes(bytes.toString('latin1', at + 2, end))
}
