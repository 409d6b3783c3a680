import { StringDecoder } from 'node:string_decoder'
import { wrongLine } from './line-fields.ts'

// The longest text that V8 makes, with room for what is made of it; a payload of 256 MiB is a third longer in base64.
const lineMax = 400 * 1024 * 1024

/** The lines of a stream of UTF-8. One line is held at a time, and one that is too long to be one is an `OperatorError`. */
export async function* readLines(bytes: AsyncIterable<Uint8Array | string>): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder('utf8')
  // What has come of a line, in pieces: a long one comes in many.
  let pieces: string[] = []
  let length = 0
  for await (const chunk of bytes) {
    const text = typeof chunk === 'string' ? chunk : decoder.write(chunk as Buffer)
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      pieces.push(text.slice(start, end))
      const line = pieces.length === 1 ? pieces[0]! : pieces.join('')
      pieces = []
      length = 0
      yield line.endsWith('\r') ? line.slice(0, -1) : line
      start = end + 1
    }
    if (start === text.length) continue
    length += text.length - start
    if (length > lineMax) throw wrongLine(`a line is longer than ${lineMax} characters`)
    pieces.push(start === 0 ? text : text.slice(start))
  }
  const last = pieces.join('') + decoder.end()
  if (last !== '') yield last
}
