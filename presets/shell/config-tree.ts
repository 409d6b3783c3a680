import type { PluginManifest } from '../../core/manifest.ts'
import { clone, isRecord } from '../../plugins/kit/options/plain-data.ts'
import type { Problem } from '../../plugins/kit/options/validation.ts'
import { readSection } from './section.ts'

/** Config values of several sources laid over each other key by key, remembering who set each one. */
export class ConfigTree {
  readonly values: Record<string, unknown> = {}
  /** Who set the value at a path such as `socket.port`. */
  readonly provenance = new Map<string, string>()
  readonly problems: Problem[] = []
  readonly #sections: Readonly<Record<string, { readonly manifest: PluginManifest }>>

  /** `sections` are the built-in plugins: `false` and `true` there are short for `{ enable }`. */
  constructor(sections: Readonly<Record<string, { readonly manifest: PluginManifest }>>) {
    this.#sections = sections
  }

  /** Lays a whole source over what is there. */
  merge(source: Record<string, unknown>, who: string): void {
    for (const [key, value] of Object.entries(clone(source))) {
      if (key === '__proto__') this.problems.push({ path: key, text: 'unknown; remove it' })
      else this.set([key], value, who)
    }
  }

  /** Lays one value over what is there. */
  set(keys: readonly string[], value: unknown, who: string): void {
    const [root] = keys
    if (root === undefined) return
    if (Object.hasOwn(this.#sections, root)) {
      if (keys.length === 1) {
        const section = this.#section(root, value)
        if (section === undefined) return
        value = section
      } else if (Array.isArray(this.values[root]) && !/^\d+$/.test(keys[1]!)) {
        const text = `${root} is a list here; say which one, as in ${root}.0.${keys.slice(1).join('.')} (${who})`
        this.problems.push({ path: keys.join('.'), text })
        return
      }
    }
    this.#lay(this.values, keys, '', value, who)
  }

  /** Who set what a problem is about: the value itself, or the nearest one around or within it. */
  whoSet(path: string): string | undefined {
    path = path.replace(/\[(\d+)\]/g, '.$1')
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
      const who = this.provenance.get(at)
      if (who !== undefined) return who
    }
    for (const [other, who] of this.provenance) if (other.startsWith(`${path}.`)) return who
    return undefined
  }

  #section(name: string, value: unknown): unknown {
    const section = readSection(value, this.#sections[name]?.manifest.listener === true)
    if (!('fault' in section)) return section
    this.problems.push({ path: name, text: section.fault as string })
    return undefined
  }

  #lay(into: Record<string, unknown>, keys: readonly string[], above: string, value: unknown, who: string): void {
    const [key, ...rest] = keys as [string, ...string[]]
    const path = above === '' ? key : `${above}.${key}`
    const held = Object.hasOwn(into, key) ? into[key] : undefined
    if (rest.length > 0) {
      const inner = isRecord(held) || Array.isArray(held) ? held : this.#replace(into, key, path, {})
      this.#lay(inner as Record<string, unknown>, rest, path, value, who)
    } else if (isRecord(value)) {
      const inner = isRecord(held) ? held : this.#replace(into, key, path, {})
      const parts = Object.entries(value)
      for (const [part, partValue] of parts) this.#lay(inner as Record<string, unknown>, [part], path, partValue, who)
      // `shareTopic: {}` says something too: this plugin is wanted.
      if (parts.length === 0) this.provenance.set(path, who)
    } else {
      this.#replace(into, key, path, value)
      this.#mark(path, value, who)
    }
  }

  // Within a list of listeners each option was set by somebody too.
  #mark(path: string, value: unknown, who: string): void {
    this.provenance.set(path, who)
    if (!Array.isArray(value)) return
    for (const [index, part] of value.entries()) {
      if (isRecord(part)) for (const [key, inner] of Object.entries(part)) this.#mark(`${path}.${index}.${key}`, inner, who)
    }
  }

  #replace(into: Record<string, unknown>, key: string, path: string, value: unknown): unknown {
    for (const other of this.provenance.keys()) if (other === path || other.startsWith(`${path}.`)) this.provenance.delete(other)
    Object.defineProperty(into, key, { value, enumerable: true, writable: true, configurable: true })
    return value
  }
}
