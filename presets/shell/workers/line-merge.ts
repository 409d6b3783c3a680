import type { Readable } from 'node:stream'

// A longer line is handed on in parts.
const lineBytesMax = 1024 * 1024

/** Reads what a worker prints, and hands on whole lines, so that those of several workers do not tear one another apart. */
export function mergeLines(from: Readable, write: (lines: string) => void): void {
  let rest: Buffer[] = []
  let bytes = 0
  const hand = (last: Buffer): void => {
    const text = Buffer.concat([...rest, last]).toString()
    rest = []
    bytes = 0
    if (text !== '') write(text.endsWith('\n') ? text : `${text}\n`)
  }
  from.on('data', (chunk: Buffer) => {
    const end = chunk.lastIndexOf(10) + 1
    if (end > 0) hand(chunk.subarray(0, end))
    if (end === chunk.length) return
    rest.push(chunk.subarray(end))
    bytes += chunk.length - end
    if (bytes > lineBytesMax) hand(Buffer.alloc(0))
  })
  from.on('end', () => hand(Buffer.alloc(0)))
  from.on('error', () => {})
}
