import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Where TypeScript has the types of the language itself. */
export function libraryOfTypes(): string {
  const compiler = createRequire(createRequire(import.meta.url).resolve('typescript/package.json'))
  const platform = `@typescript/typescript-${process.platform}-${process.arch}/package.json`
  return join(dirname(compiler.resolve(platform)), 'lib/lib.es2023.full.d.ts')
}

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
