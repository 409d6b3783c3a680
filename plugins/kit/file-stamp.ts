import { stat } from 'node:fs/promises'

/** Which file lies at a path: a mounted secret changes by a link, a copy by its content, so whatever can differ is in it. */
export async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeMs, ctimeMs, size, ino } = await stat(path)
    return `${mtimeMs} ${ctimeMs} ${size} ${ino}`
  } catch {
    return 'gone'
  }
}
