/** Bytes of the MQTT packet that begins at `at`, its fixed header with it; 0 where the header is not all there before `end`. */
export function packetSize(bytes: Buffer, at: number, end: number): number {
  let length = 0
  let shift = 0
  for (let i = at + 1; i < end && shift < 28; i++) {
    const byte = bytes[i]!
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) return i + 1 - at + length
    shift += 7
  }
  return 0
}

/** Where the packet that begins at `at` ends; `end` where it has no end before. */
export function packetEnd(bytes: Buffer, at: number, end: number): number {
  const size = packetSize(bytes, at, end)
  return size === 0 ? end : Math.min(end, at + size)
}
