import { Code } from '../script/layout.ts'
import { operation } from '../script/operation-script.ts'

/** An entry has gone that referred to a body in another slot. */
export const unrefer = operation(
  Code.Unrefer,
  { key: 'key', ordinal: 'fourBytes' },
  `
unrefer(KEYS[key], ordinal)
`,
)
