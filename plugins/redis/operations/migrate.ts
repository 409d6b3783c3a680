import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** Brings a session to this version's format. Whatever else is done to a session does so, too; this is for those that nobody does anything to. */
export const migrate = operation(
  Code.Migrate,
  { session: 'session' },
  `
load(session)
`,
)
