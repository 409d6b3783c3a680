/** Where a certificate and its key come from: PEM files, or a keystore. */
export interface IdentityOptions {
  readonly cert?: string | null
  readonly key?: string | null
  readonly passphrase?: string | null
  readonly keyStoreLocation?: string | null
  readonly keyStorePassword?: string | null
  readonly keyStoreType?: string | null
}
