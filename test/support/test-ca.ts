import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CertificateWish, type IssuedCertificate, issueCertificate } from '../../plugins/ssl/issue-certificate.ts'

const dayMs = 86_400_000

/** How a test's certificate differs from an ordinary one. */
export interface Wish {
  readonly names?: readonly string[]
  readonly use?: CertificateWish['use']
  /** Days from now. */
  readonly from?: number
  readonly to?: number
}

/** A CA, and what it issues, as PEM files in a folder: `NAME.crt` and `NAME.key`. */
export class TestCa {
  readonly folder: string
  readonly #ca: IssuedCertificate

  private constructor(folder: string, ca: IssuedCertificate) {
    this.folder = folder
    this.#ca = ca
  }

  /** Writes `NAME.crt` of the CA itself too. */
  static async create(folder: string, name = 'ca'): Promise<TestCa> {
    const now = Date.now()
    const ca = issueCertificate({ commonName: `test ${name}`, use: 'ca', validFrom: now - dayMs, validTo: now + 30 * dayMs })
    await write(folder, name, ca)
    return new TestCa(folder, ca)
  }

  get cert(): string {
    return this.#ca.cert
  }

  /** A certificate for a server on loopback, unless told otherwise. */
  async issue(file: string, commonName: string, { names = ['localhost', '127.0.0.1'], use = 'server', from = -1, to = 20 }: Wish = {}) {
    const now = Date.now()
    const issued = issueCertificate({
      commonName,
      organization: 'Example',
      use,
      names: use === 'server' ? names : [],
      validFrom: now + from * dayMs,
      validTo: now + to * dayMs,
      issuer: this.#ca,
    })
    await write(this.folder, file, issued)
    return issued
  }

  client(file: string, commonName: string, wish: Wish = {}) {
    return this.issue(file, commonName, { ...wish, use: 'client' })
  }

  path(file: string): string {
    return join(this.folder, file)
  }
}

async function write(folder: string, name: string, { cert, key }: IssuedCertificate): Promise<void> {
  await writeFile(join(folder, `${name}.crt`), cert)
  await writeFile(join(folder, `${name}.key`), key, { mode: 0o600 })
}
