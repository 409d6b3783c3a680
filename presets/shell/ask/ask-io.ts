import type { CommandIo } from '../../../plugins/kit/command.ts'

/** What a verb needs of the world around it. */
export interface AskIo extends CommandIo {
  /** Writes a line to standard error. */
  error(line: string): void
  /** Standard input; left out: there is none. */
  readonly input?: () => AsyncIterable<Uint8Array>
}
