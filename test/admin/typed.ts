import { runVerb } from '../../presets/shell/ask/ask.ts'

/** What somebody sees who types a command. */
export interface Typed {
  readonly code: number
  /** Standard output, all lines. */
  readonly text: string
  /** Standard error, all lines. */
  readonly errors: string
  /** The answer to `--json`. */
  readonly json: Record<string, unknown>
}

/** Types `mqttx-broker` and what follows, in a folder, with an environment. */
export async function typed(
  line: string | readonly string[],
  { folder = '/', env = {} }: { folder?: string; env?: Record<string, string> } = {},
): Promise<Typed> {
  const out: string[] = []
  const errors: string[] = []
  const argv = typeof line === 'string' ? line.split(' ') : line
  const code = await runVerb(argv, env, { folder, out: text => void out.push(text), error: text => void errors.push(text) })
  return {
    code,
    text: out.join('\n'),
    errors: errors.join('\n'),
    get json() {
      return JSON.parse(out[0] ?? 'null') as Record<string, unknown>
    },
  }
}
