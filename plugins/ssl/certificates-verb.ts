import type { VerbDeclaration } from '../kit/verbs/define-verb.ts'

/** A certificate that a listener serves. */
export interface CertificateRow {
  /** Where its options stand: `ssl`, `socket[1].tls`. */
  readonly at: string
  /** Whose it is. */
  readonly subject: string
  /** When it expires: milliseconds since the Unix epoch. */
  readonly expiresAt: number
}

export const certificatesVerb = {
  name: 'certificates',
  help: 'the certificates that this node serves, and when they expire (plugin ssl)',
  example: 'certificates',
  role: 'read',
  takes: {},
} as const satisfies VerbDeclaration

declare module '../kit/verbs/verbs.js' {
  interface VerbMap {
    certificates: [given: object, answer: { rows: readonly CertificateRow[] }]
  }
}
