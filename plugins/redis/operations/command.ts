import { Code } from '../script/layout.ts'
import { Operands } from '../script/operands.ts'
import { operation } from '../script/operation-script.ts'

/** One argument of the command, behind its key. */
export const argument = new Operands({ value: 'longText' })
export const binaryArgument = new Operands({ value: 'binary' })

/** One command of Redis' own on one key; as many arguments as `count` says follow. Says `answer`. */
export const command = operation(
  Code.Command,
  { name: 'shortText', key: 'key', count: 'fourBytes' },
  `
touching = key
local arguments = {}
for n = 1, count do${argument.read}
  arguments[n] = value
end
tell('answer', call(name, KEYS[key], _G.unpack(arguments)))
`,
)
