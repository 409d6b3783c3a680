import { OperatorError } from '../../core/errors.ts'

/** A password from the terminal, twice and without being shown, or the first line of standard input where that is no terminal. */
export async function readPassword(user: string): Promise<string> {
  if (!process.stdin.isTTY) return firstLine()
  const terminal = new HiddenTerminal()
  try {
    const password = await terminal.ask(`Password for ${user}: `)
    if ((await terminal.ask('Once more: ')) === password) return password
    throw new OperatorError('ERR_PASSWORD_FILE', 'passwd: they differ; nothing was changed')
  } finally {
    terminal.close()
  }
}

async function firstLine(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer)
    if ((chunk as Buffer).includes(10)) break
  }
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split('\n')
  return line.replace(/\r$/, '')
}

/** A terminal that does not show what is typed. What was typed ahead counts for the next question. */
class HiddenTerminal {
  #letters: string[] = []
  #typed: () => void = () => {}
  readonly #onData = (text: string): void => {
    this.#letters.push(...text)
    this.#typed()
  }

  constructor() {
    const { stdin } = process
    stdin.setEncoding('utf8')
    stdin.setRawMode(true)
    stdin.on('data', this.#onData)
  }

  async ask(question: string): Promise<string> {
    process.stdout.write(question)
    let line = ''
    for (;;) {
      const letter = this.#letters.shift()
      if (letter === undefined) {
        await new Promise<void>(resolve => {
          this.#typed = resolve
        })
      } else if (letter === '\r' || letter === '\n') {
        process.stdout.write('\n')
        return line
      } else if (letter === '\x03' || letter === '\x04') {
        // Ctrl-C and Ctrl-D: a terminal like this hands them over as any other.
        process.stdout.write('\n')
        throw new OperatorError('ERR_PASSWORD_FILE', 'passwd: broken off; nothing was changed')
      } else if (letter === '\x7f' || letter === '\b') {
        line = [...line].slice(0, -1).join('')
      } else {
        line += letter
      }
    }
  }

  close(): void {
    const { stdin } = process
    stdin.off('data', this.#onData)
    stdin.setRawMode(false)
    stdin.pause()
  }
}
