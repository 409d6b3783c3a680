import { EventEmitter } from 'node:events'
import { catalogue } from '../../presets/index.ts'
import { type CliIo, runCli } from '../../presets/shell/cli.ts'

/** Runs a command that ends by itself, as `npx mqttx-broker` would, in this process: what a start of Node costs is half a second. */
export async function commandLine(
  folder: string,
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<{ readonly code: number; readonly out: readonly string[]; readonly errors: readonly string[] }> {
  const out: string[] = []
  const errors: string[] = []
  const io: CliIo = {
    folder,
    out: line => out.push(line),
    error: line => errors.push(line),
    signals: new EventEmitter(),
    exit() {},
    start: () => Promise.reject(new Error('this command is not to start a broker')),
  }
  const code = await runCli(catalogue, [...argv], env, io)
  return { code, out, errors }
}
