import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ts } from '@ts-morph/common'
import { libraryOfTypes } from '../support/compiler-options.ts'

/** What an editor shows in one file, by the language service of TypeScript 5.9: TypeScript 7 has none that a program can call. */
export class Editor {
  readonly #file: string
  readonly #text: string
  readonly #service: ts.LanguageService

  /** A file of this text in a folder where the package is installed. Places in it are marked by a comment with a name, before what is looked at. */
  constructor(folder: string, text: string) {
    this.#file = join(folder, 'editor.ts')
    this.#text = text
    const require = createRequire(import.meta.url)
    const library = libraryOfTypes()
    const options: ts.CompilerOptions = {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(dirname(require.resolve('@types/node/package.json')), '..')],
    }
    const { sys } = ts
    const read = (path: string) => (path === this.#file ? text : sys.fileExists(path) ? readFileSync(path, 'utf8') : undefined)
    this.#service = ts.createLanguageService({
      getScriptFileNames: () => [this.#file],
      getScriptVersion: () => '1',
      getScriptSnapshot(path) {
        const content = read(path)
        return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content)
      },
      getCurrentDirectory: () => folder,
      getCompilationSettings: () => options,
      getDefaultLibFileName: () => library,
      fileExists: path => read(path) !== undefined,
      readFile: read,
      directoryExists: sys.directoryExists,
      getDirectories: sys.getDirectories,
      ...(sys.realpath === undefined ? {} : { realpath: sys.realpath }),
    })
  }

  /** What is marked as wrong. */
  errors(): string[] {
    return this.#service.getSemanticDiagnostics(this.#file).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  }

  /** What is shown where the pointer rests on what stands behind a mark: its type, and its text. */
  hover(mark: string): { readonly type: string; readonly text: string } {
    const comment = `/*${mark}*/`
    const shown = this.#service.getQuickInfoAtPosition(this.#file, this.#text.indexOf(comment) + comment.length)
    const type = ts.displayPartsToString(shown?.displayParts)
    return { type: type.replaceAll(/\s+/g, ' '), text: ts.displayPartsToString(shown?.documentation) }
  }

  /** All that the type of a variable holds, nested too, `socket.tls.cert`: what has no text, and how much there is. */
  withoutText(variable: string): { readonly names: string[]; readonly count: number } {
    const program = this.#service.getProgram()!
    const checker = program.getTypeChecker()
    const names: string[] = []
    let count = 0
    const walk = (type: ts.Type, at: string): void => {
      if (type.isUnion()) return type.types.forEach(one => void walk(one, at))
      if ((type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) === 0) return
      const element = checker.getIndexTypeOfType(type, ts.IndexKind.Number)
      if (element !== undefined) return walk(element, `${at}[]`)
      if (checker.getSignaturesOfType(type, ts.SignatureKind.Call).length > 0) return
      for (const property of checker.getPropertiesOfType(type)) {
        // What a class keeps to itself.
        if (property.name.includes('#')) continue
        const name = at === '' ? property.name : `${at}.${property.name}`
        count += 1
        if (property.getDocumentationComment(checker).length === 0) names.push(name)
        walk(checker.getTypeOfSymbol(property), name)
      }
    }
    const source = program.getSourceFile(this.#file)!
    source.forEachChild(node => {
      if (!ts.isVariableStatement(node)) return
      for (const { name } of node.declarationList.declarations)
        if (name.getText(source) === variable) walk(checker.getTypeAtLocation(name), '')
    })
    return { names, count }
  }

  /** How a function is shown that is to be tapped into a hook, for all hooks that a variable holds. */
  taps(variable: string): Record<string, string> {
    const program = this.#service.getProgram()!
    const checker = program.getTypeChecker()
    const source = program.getSourceFile(this.#file)!
    const found: Record<string, string> = {}
    source.forEachChild(node => {
      if (!ts.isVariableStatement(node)) return
      for (const declaration of node.declarationList.declarations) {
        if (declaration.name.getText(source) !== variable) continue
        for (const hook of checker.getTypeAtLocation(declaration.name).getProperties()) {
          const tap = checker.getTypeOfSymbol(hook).getProperty('tap') ?? checker.getTypeOfSymbol(hook).getProperty('tapPromise')
          if (tap === undefined) continue
          const [call] = checker.getTypeOfSymbol(tap).getCallSignatures()
          const [listener] = checker.getTypeOfSymbol(call!.parameters[1]!).getCallSignatures()
          found[hook.name] = checker.signatureToString(listener!)
        }
      }
    })
    return found
  }
}
