import { definePlugin } from '../../core/plugin.ts'
import { ReasonCode } from '../../core/reason.ts'
import type { Admission, Refusal } from '../../core/refusals.ts'
import { authCertificateManifest } from './manifest.ts'

/** Lets in who has shown a verified client certificate, or a shared key, under the name that it says. */
export const authCertificate = definePlugin(authCertificateManifest, ({ hooks }, { username: part, listeners, refuseAs, required }) => {
  const reasonCode = refuseAs === 'notAuthorized' ? ReasonCode.NotAuthorized : ReasonCode.BadUserNameOrPassword
  const noCertificate: Refusal = { reasonCode, reasonString: 'a verified client certificate is required' }
  const noName: Refusal = { reasonCode, reasonString: 'the client certificate holds no usable name' }
  hooks.onAuthenticate.tap('authCertificate', ({ transport }): Admission | Refusal | undefined => {
    if (listeners !== undefined && !listeners.includes(transport.listener)) return undefined
    if (transport.pskIdentity !== undefined) return { username: transport.pskIdentity }
    const certificate = transport.peerCertificate
    if (certificate?.verified !== true) return required ? noCertificate : undefined
    const username = part === 'subject' ? certificate.subject : certificate.commonName
    return username === undefined || username === '' ? noName : { username }
  })
})
