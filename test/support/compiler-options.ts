import { join } from 'node:path'

/** As strict as TypeScript is, for a folder outside of this tree that has nothing of `root` but the types of Node. */
export function strictOptions(root: string) {
  return {
    target: 'es2023',
    lib: ['es2023'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    erasableSyntaxOnly: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  }
}
