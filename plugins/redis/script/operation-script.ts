import type { BatchWriter } from '../batch-writer.ts'
import type { Code } from './layout.ts'
import { Operands, type Shape, type ValuesOf } from './operands.ts'

/** One operation of the batch script: its number, its operands, and what it does, in Lua. */
export interface OperationScript<S extends Shape> {
  readonly code: Code
  /** The function's body in Lua. What it has to say to whoever asked it says by `tell`. */
  readonly lua: string
  /** Writes the operation but for operands that repeat, which the caller writes behind it. */
  write(out: BatchWriter, values: ValuesOf<S>): void
}

/** An operation that anybody may make. Its Lua sees the operands as local variables. */
export function operation<S extends Shape>(code: Code, shape: S, lua: string): OperationScript<S> {
  const operands = new Operands(shape)
  return {
    code,
    lua: operands.read + lua,
    write(out, values) {
      out.operation(code)
      operands.write(out, values)
    },
  }
}

/** What every write of a session's owner begins with. */
export const owner = new Operands({ session: 'session', epoch: 'double' })

type OwnerValues = { readonly session: string; readonly epoch: number }

/** A write that only a session's newest owner may make: as `OperationScript`, with the owner in front. */
export interface OwnerScript<S extends Shape> extends Omit<OperationScript<S>, 'write'> {
  write(out: BatchWriter, owner: OwnerValues, values: ValuesOf<S>): void
}

/**
 * A write that only a session's newest owner may make. Its Lua sees the operands, `session` (the number of the session's first key) and `record` (what is known
 * of it): nil where the writer is not the newest owner any more, who has been told so by then.
 */
export function ownerOperation<S extends Shape>(code: Code, shape: S, lua: string): OwnerScript<S> {
  const operands = new Operands(shape)
  return {
    code,
    lua: `\nlocal session, record = owned()${operands.read}${lua}`,
    write(out, by, values) {
      out.operation(code)
      owner.write(out, by)
      operands.write(out, values)
    },
  }
}
