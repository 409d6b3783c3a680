import type { JWTPayload } from 'jose'
import { isTopicFilter } from '../../core/routing/topic.ts'

type Part = { readonly text: string } | { readonly claim: string }

const halfPair = /\p{Surrogate}/u
const placeholder = /\{([^{}]*)\}/g
// Of one template, however many values the claims in it have.
const textsMax = 1000

/** A text with claims of a token in braces: `{sub}`, `{realm.name}`; as a filter also `{acl.pub[]}`, which stands for each filter of a list. */
export class ClaimTemplate {
  readonly source: string
  readonly #parts: readonly Part[]
  /** The claim whose filters are taken as they are. */
  readonly #list: string | null

  private constructor(source: string, parts: readonly Part[], list: string | null) {
    this.source = source
    this.#parts = parts
    this.#list = list
  }

  /** Throws an error that says what is wrong with it. */
  static parse(source: string): ClaimTemplate {
    const list = /^\{([^{}]+)\[\]\}$/.exec(source)?.[1]
    if (list !== undefined) return new ClaimTemplate(source, [], list)
    const parts: Part[] = []
    let end = 0
    for (const match of source.matchAll(placeholder)) {
      if (match.index > end) parts.push({ text: plain(source.slice(end, match.index)) })
      if (match[1] === '') throw new Error('{} names no claim')
      if (match[1]!.endsWith('[]')) throw new Error(`{${match[1]}} stands for whole filters, and so it stands alone`)
      parts.push({ claim: match[1]! })
      end = match.index + match[0].length
    }
    if (end < source.length) parts.push({ text: plain(source.slice(end)) })
    return new ClaimTemplate(source, parts, null)
  }

  /** Whether it stands for a list of filters, which no text can be made of. */
  get isList(): boolean {
    return this.#list !== null
  }

  /** The text; the name of the claim that is missing, or no text, where there is none. */
  text(payload: JWTPayload): { readonly text: string } | { readonly missing: string } {
    let text = ''
    for (const part of this.#parts) {
      if ('text' in part) {
        text += part.text
        continue
      }
      const value = textOf(claimOf(payload, part.claim))
      if (value === null) return { missing: part.claim }
      text += value
    }
    return { text }
  }

  /** The topic filters; `null` where a claim holds what is none: the token was made for something else. A claim that is missing grants nothing. */
  filters(payload: JWTPayload): string[] | null {
    if (this.#list !== null) return filtersIn(claimOf(payload, this.#list))
    let texts = ['']
    for (const part of this.#parts) {
      const values = 'text' in part ? [part.text] : levelsIn(claimOf(payload, part.claim))
      if (values === null) return null
      texts = texts.flatMap(before => values.map(value => before + value))
      if (texts.length > textsMax) return null
    }
    return texts.every(isTopicFilter) ? texts : null
  }
}

// A claim may have a dot in its own name, as those with a URL before them do.
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name]
  let value: unknown = payload
  for (const key of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

function textOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  // Half a surrogate pair has no UTF-8: names that differ in it alone would be one and the same wherever they are stored.
  return typeof value === 'string' && value !== '' && !value.includes('\0') && !halfPair.test(value) ? value : null
}

function filtersIn(claim: unknown): string[] | null {
  if (claim === undefined || claim === null) return []
  // As OAuth writes its scopes.
  const list = typeof claim === 'string' ? claim.split(' ').filter(one => one !== '') : claim
  if (!Array.isArray(list) || list.length > textsMax) return null
  return list.every(one => typeof one === 'string' && isTopicFilter(one)) ? (list as string[]) : null
}

// A claim fills a level or a part of it: it cannot widen the filter that it stands in.
function levelsIn(claim: unknown): string[] | null {
  if (claim === undefined || claim === null) return []
  const levels = (Array.isArray(claim) ? claim : [claim]).map(textOf)
  return levels.every(level => level !== null && !/[+#/]/.test(level)) ? (levels as string[]) : null
}

function plain(text: string): string {
  if (/[{}]/.test(text)) throw new Error('braces come in pairs, around the name of a claim')
  return text
}
