import { OperatorError } from '../../../../core/errors.ts'
import { shownText } from '../../../../plugins/kit/shown-text.ts'
import type { ImportSource } from '../imported.ts'

/** One line of mosquitto.conf, or of a file that it includes. */
export interface ConfLine {
  /** The line in its file, from 1. */
  readonly line: number
  /** The file, where it is an included one. */
  readonly file?: string
  /** The option's name. */
  readonly name: string
  /** What stands behind the name, without blanks around it; empty where nothing does. */
  readonly value: string
}

/** The options of mosquitto.conf in the order in which mosquitto reads them: the files of `include_dir` stand where it stands. */
export async function readConfLines(text: string, source: ImportSource): Promise<ConfLine[]> {
  const lines: ConfLine[] = []
  for (const one of linesOf(text, undefined, source.name)) {
    if (one.name !== 'include_dir') lines.push(one)
    else if (one.value === '') throw new OperatorError('ERR_CONFIG', `${placeOf(source.name, one)}: include_dir: needs a folder`)
    else for (const further of await included(one.value, source)) lines.push(further)
  }
  return lines
}

/** Where a line stands, for messages: `mosquitto.conf:12`. */
export function placeOf(name: string, { line, file = name }: Pick<ConfLine, 'line' | 'file'>): string {
  return `${file}:${line}`
}

// mosquitto reads no `include_dir` of a file that is included itself; its order of names is that of their letters, of two that are alike in those the upper case first.
async function included(folder: string, source: ImportSource): Promise<ConfLine[]> {
  const letters = (name: string): string => name.toLowerCase()
  const isBefore = (a: string, b: string): boolean => (letters(a) === letters(b) ? a < b : letters(a) < letters(b))
  const names = (await source.list(folder)).filter(name => name.endsWith('.conf')).sort((a, b) => (isBefore(a, b) ? -1 : 1))
  const lines: ConfLine[] = []
  for (const name of names) {
    const file = `${folder.replace(/\/$/, '')}/${name}`
    const text = await source.read(file)
    if (text === undefined)
      throw new OperatorError('ERR_CONFIG', `${file}: cannot be read; let this user read it, or take it out of ${folder}`)
    for (const one of linesOf(text, file)) {
      if (one.name === 'include_dir')
        throw new OperatorError(
          'ERR_CONFIG',
          `${placeOf(file, one)}: include_dir: mosquitto reads none in a file that is included; move it to ${source.name}`,
        )
      lines.push(one)
    }
  }
  return lines
}

function linesOf(text: string, file: string | undefined, shownFile = file ?? ''): ConfLine[] {
  const lines: ConfLine[] = []
  for (const [index, whole] of text.split('\n').entries()) {
    const said = whole.trimEnd()
    if (said === '' || said.startsWith('#')) continue
    const [, name = '', value = ''] = /^ *(\S+) *(.*)$/s.exec(said) ?? []
    // Bytes that are no UTF-8 have become this; MQTT knows nothing else.
    if (said.includes('\uFFFD'))
      throw new OperatorError('ERR_CONFIG', `${shownFile}:${index + 1}: ${shownText(name)}: the line is not UTF-8; save the file as UTF-8`)
    if (name !== '') lines.push({ line: index + 1, ...(file === undefined ? {} : { file }), name, value })
  }
  return lines
}
