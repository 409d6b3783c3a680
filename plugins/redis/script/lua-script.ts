import { createHash } from 'node:crypto'
import type { Command } from '../operation.ts'

type Argument = string | number | Buffer

/** A script whose keys and arguments have names: its Lua sees `KEYS[1]`… and `ARGV[1]`… as local variables of these names. */
export class LuaScript<K extends string, A extends string> {
  readonly text: string
  /** The name by which a server knows the script once it has had the whole text. */
  readonly sha: string
  readonly #keys: readonly K[]
  readonly #arguments: readonly A[]

  constructor(keys: readonly K[], args: readonly A[], lua: string) {
    this.#keys = keys
    this.#arguments = args
    this.text = `local ${keys.join(', ')} = ${keys.map((_, i) => `KEYS[${i + 1}]`).join(', ')}
local ${args.join(', ')} = ${args.map((_, i) => `ARGV[${i + 1}]`).join(', ')}
${lua}`
    this.sha = createHash('sha1').update(this.text).digest('hex')
  }

  /** The number, in Lua, of the first key behind those with names. */
  get firstOtherKey(): number {
    return this.#keys.length + 1
  }

  /** The command that runs it. `moreKeys` stand behind those with names. */
  whole(keys: Readonly<Record<K, string>>, args: Readonly<Record<A, Argument>>, moreKeys: readonly string[] = []): Command {
    return this.#command('eval', this.text, keys, args, moreKeys)
  }

  /** As `whole`, for a server that has had the text; one that has not answers with NOSCRIPT. */
  byName(keys: Readonly<Record<K, string>>, args: Readonly<Record<A, Argument>>, moreKeys: readonly string[] = []): Command {
    return this.#command('evalsha', this.sha, keys, args, moreKeys)
  }

  #command(
    name: string,
    script: string,
    keys: Readonly<Record<K, string>>,
    args: Readonly<Record<A, Argument>>,
    moreKeys: readonly string[],
  ): Command {
    const named = this.#keys.map(key => keys[key])
    return [name, script, named.length + moreKeys.length, ...named, ...moreKeys, ...this.#arguments.map(argument => args[argument])]
  }
}
