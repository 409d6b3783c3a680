#!/usr/bin/env node
// First, before anything takes time.
import './shell/no-inspector.ts'

// A verb asks a running broker and is over, so nothing is loaded for it of what a broker itself needs: 0.5 s of processor time.
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'

// Node 22 and later keep what V8 has compiled. It lies beside the program itself, which nobody else can write to either: a cache in a folder for everybody would be code of
// anybody's. Where it cannot be written, the start takes as long as on Node 20.
const { enableCompileCache } = nodeModule as { enableCompileCache?: (folder: string) => unknown }
enableCompileCache?.(fileURLToPath(new URL('../.compiled', import.meta.url)))

const argv = process.argv.slice(2)
const [first = 'start'] = argv
const own = new Set(['start', 'check', 'init', 'create-plugin', 'passwd', 'token', 'help'])
const isVerb = first.startsWith('--socket') || !(first.startsWith('-') || (own.has(first) && (first !== 'help' || argv.length === 1)))

if (isVerb) {
  const { runVerb } = await import('./shell/ask/ask.ts')
  // Whoever has read enough of the answer closes the pipe: `| head`.
  process.stdout.on('error', () => process.exit(0))
  process.exitCode = await runVerb(argv, process.env, {
    folder: process.cwd(),
    out: line => process.stdout.write(`${line}\n`),
    error: line => process.stderr.write(`${line}\n`),
    input: () => process.stdin,
  })
} else {
  await import('./main.ts')
}
