import { readFile, stat } from 'node:fs/promises'

// A config of hand-written text has some kilobytes; one of rights that a program writes, some hundred.
const bytesMax = 4 * 1024 * 1024

/** The text of a file that stands for a config, or belongs to one. Rejects where it is none: a pipe or a device, which may never end; one that is too large; UTF-16. */
export async function readText(path: string): Promise<string> {
  const found = await stat(path)
  if (!found.isFile()) throw new Error('it is no file')
  if (found.size > bytesMax) throw new Error(`it has ${found.size} bytes, and ${bytesMax} are read at most`)
  const text = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '')
  if (text.includes('\0')) throw new Error('it holds U+0000: it is no text, or UTF-16; save it as UTF-8')
  return text
}
