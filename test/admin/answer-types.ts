import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ts } from '@ts-morph/common'
import { libraryOfTypes } from '../support/compiler-options.ts'

const primitive = ts.TypeFlags.StringLike | ts.TypeFlags.NumberLike | ts.TypeFlags.BooleanLike | ts.TypeFlags.Null | ts.TypeFlags.Undefined
const root = fileURLToPath(new URL('../..', import.meta.url))

/** JSON Schema of what each verb answers, and of the types that these share, by their names. */
export interface AnswerTypes {
  readonly answers: Readonly<Record<string, object>>
  readonly schemas: Readonly<Record<string, object>>
}

/** Reads the types of all answers off `VerbMap`, to which each verb's declaration adds its line. */
export function answerTypes(): AnswerTypes {
  const files = ['plugins', 'presets'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map(name => join(root, folder, name))
      .filter(path => path.endsWith('.ts') && readFileSync(path, 'utf8').includes('interface VerbMap {')),
  )
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: ['node'],
  }
  const host = ts.createCompilerHost(options)
  host.getDefaultLibFileName = libraryOfTypes
  host.getDefaultLibLocation = () => dirname(libraryOfTypes())
  const program = ts.createProgram([join(root, 'plugins/kit/verbs/verbs.ts'), ...files], options, host)
  const checker = program.getTypeChecker()
  const verbs = program.getSourceFile(join(root, 'plugins/kit/verbs/verbs.ts'))!
  const map = checker.getExportsOfModule(checker.getSymbolAtLocation(verbs)!).find(({ name }) => name === 'VerbMap')!
  const reader = new Reader(checker, verbs)
  const answers: Record<string, object> = {}
  for (const verb of checker.getDeclaredTypeOfSymbol(map).getProperties().sort(byName)) {
    const pair = checker.getTypeOfSymbolAtLocation(verb, verbs) as ts.TypeReference
    answers[verb.name] = reader.schemaOf(checker.getTypeArguments(pair)[1]!)
  }
  return { answers, schemas: Object.fromEntries([...reader.schemas].sort(([a], [b]) => (a < b ? -1 : 1))) }
}

class Reader {
  readonly #checker: ts.TypeChecker
  readonly #at: ts.Node
  /** Of types with a name. */
  readonly schemas = new Map<string, object>()
  readonly #named = new Map<string, ts.Type>()

  constructor(checker: ts.TypeChecker, at: ts.Node) {
    this.#checker = checker
    this.#at = at
  }

  schemaOf(type: ts.Type): object {
    const { aliasSymbol: alias, aliasTypeArguments } = type
    // Those may hold themselves.
    const isAliased = alias !== undefined && aliasTypeArguments === undefined && !(type.flags & primitive)
    if (isAliased && !this.#isOfLiterals(type)) return this.#reference(alias.name, alias, type, () => this.#plain(type))
    return this.#plain(type)
  }

  #isOfLiterals(type: ts.Type): boolean {
    return type.isUnion() && type.types.every(one => one.flags & primitive)
  }

  #plain(type: ts.Type): object {
    if (type.isUnion()) return this.#union(type.types)
    if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {}
    if (type.flags & ts.TypeFlags.NonPrimitive) return { type: 'object' }
    if (type.flags & ts.TypeFlags.Null) return { type: 'null' }
    if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value }
    if (type.flags & ts.TypeFlags.BooleanLiteral) return { const: this.#checker.typeToString(type) === 'true' }
    if (type.flags & ts.TypeFlags.StringLike) return { type: 'string' }
    if (type.flags & ts.TypeFlags.NumberLike) return { type: 'number' }
    if (type.flags & ts.TypeFlags.BooleanLike) return { type: 'boolean' }
    const symbol = type.getSymbol()
    // Piece by piece: a line each.
    if (symbol?.name === 'AsyncIterable') return this.schemaOf(this.#checker.getTypeArguments(type as ts.TypeReference)[0]!)
    if (this.#checker.isArrayType(type) || this.#checker.isTupleType(type))
      return { type: 'array', items: this.#union([...this.#checker.getTypeArguments(type as ts.TypeReference)]) }
    const isNamed =
      symbol !== undefined && symbol.flags & ts.SymbolFlags.Interface && (type as ts.TypeReference).typeArguments === undefined
    return isNamed ? this.#reference(symbol.name, symbol, type, () => this.#object(type)) : this.#object(type)
  }

  #reference(name: string, symbol: ts.Symbol, type: ts.Type, schema: () => object): object {
    const known = this.#named.get(name)
    if (known !== undefined && known !== type) throw new Error(`two types are called ${name}`)
    if (known === undefined) {
      this.#named.set(name, type)
      this.schemas.set(name, { ...describedBy(symbol, this.#checker), ...schema() })
    }
    return { $ref: `#/components/schemas/${name}` }
  }

  #object(type: ts.Type): object {
    const properties: Record<string, object> = {}
    const required: string[] = []
    for (const property of this.#checker.getPropertiesOfType(type)) {
      const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0
      const schema = this.schemaOf(this.#checker.getTypeOfSymbolAtLocation(property, this.#at))
      const described = describedBy(property, this.#checker)
      properties[property.name] =
        '$ref' in schema && 'description' in described ? { allOf: [schema], ...described } : { ...schema, ...described }
      if (!isOptional) required.push(property.name)
    }
    const others = this.#checker.getIndexTypeOfType(type, ts.IndexKind.String)
    return {
      type: 'object',
      ...(Object.keys(properties).length > 0 ? { properties } : {}),
      ...(required.length > 0 ? { required } : {}),
      ...(others === undefined ? {} : { additionalProperties: this.schemaOf(others) }),
    }
  }

  #union(types: readonly ts.Type[]): object {
    const schemas = types.filter(({ flags }) => !(flags & ts.TypeFlags.Undefined)).map(type => this.schemaOf(type))
    const constants = schemas.flatMap(schema => ('const' in schema ? [schema.const] : []))
    const others = schemas.filter(schema => !('const' in schema))
    const isBoolean = constants.includes(true) && constants.includes(false)
    const texts = constants.filter(one => typeof one !== 'boolean')
    if (isBoolean) others.unshift({ type: 'boolean' })
    else if (constants.length > texts.length) others.unshift({ const: constants.includes(true) })
    if (texts.length > 0) others.unshift(texts.length === 1 ? { const: texts[0] } : { enum: texts })
    const unique = [...new Map(others.map(schema => [JSON.stringify(schema), schema])).values()]
    if (unique.length === 1) return unique[0]!
    // `string | null` is a type of two names.
    const plain = unique.every(schema => Object.keys(schema).length === 1 && 'type' in schema)
    return plain ? { type: unique.map(schema => (schema as { type: string }).type) } : { anyOf: unique }
  }
}

function describedBy(symbol: ts.Symbol, checker: ts.TypeChecker): object {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker)).replaceAll(/\s+/g, ' ').trim()
  return text === '' ? {} : { description: text }
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

/** The module that brokers have it from. */
export function answerModule({ answers, schemas }: AnswerTypes): string {
  const table = (rows: Readonly<Record<string, object>>) =>
    Object.entries(rows).map(([name, schema]) => `  ${quoted(name)}: ${literal(JSON.stringify(schema))},`)
  return `${[
    '// Made of the types in VerbMap by: UPDATE_OPENAPI=1 npx vitest run test/admin/page.test.ts',
    "import type { AnswerSchemas } from '../../plugins/kit/verbs/openapi.ts'",
    '',
    '/** What the verbs of this package answer, as JSON Schema. */',
    'export const answerSchemas: AnswerSchemas = {',
    '  answers: {',
    ...table(answers).map(line => `  ${line}`),
    '  },',
    '  schemas: {',
    ...table(schemas).map(line => `  ${line}`),
    '  },',
    '}',
  ].join('\n')}\n`
}

function quoted(name: string): string {
  return /^\w+$/.test(name) ? name : `'${name}'`
}

function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
