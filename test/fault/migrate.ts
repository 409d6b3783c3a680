import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Has the command line move what lies in a store to another; rejects with what it printed where it does not. */
export async function migrate(program: string, folder: string, from: string, to: string): Promise<void> {
  await promisify(execFile)(process.execPath, [program, 'migrate', '--from', from, '--to', to], { cwd: folder })
}
