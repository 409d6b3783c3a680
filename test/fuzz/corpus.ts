import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseScript, type Script, scriptText } from './script.ts'

const folder = fileURLToPath(new URL('corpus/', import.meta.url))

/** The scripts that are kept, an empty line between them: in `seen` each made the broker do something that no other did, in `found` each found a fault. */
export function readCorpus(): Script[] {
  const texts = readdirSync(folder).map(name => readFileSync(folder + name, 'utf8'))
  return texts.flatMap(text => text.trim().split('\n\n').map(parseScript))
}

/** Keeps a script; returns the file. */
export function keep(script: Script, why: 'seen' | 'found'): string {
  appendFileSync(`${folder}${why}.txt`, `\n${scriptText(script)}`)
  return `test/fuzz/corpus/${why}.txt`
}
