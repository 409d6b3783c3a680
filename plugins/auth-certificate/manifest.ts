import { defineManifest } from '../kit/define-manifest.ts'

/** Takes the user name from the client's certificate, which a listener with `ssl.clientAuth`, or a trusted proxy, has checked, or from a shared key (`ssl.pskFile`), in place of a password. */
export const authCertificateManifest = defineManifest({
  name: 'authCertificate',
  options: {
    /** Which part of the certificate is the user name: its common name, or its whole subject (`CN=meter-7,O=Example`). */
    username: { type: 'string', enum: ['commonName', 'subject'], default: 'commonName' },
    /** The listeners whose clients it is asked about, by their names; all of them where it is left out. */
    listeners: { type: 'list', items: { type: 'string', minLength: 1 } },
    /** What a client without a certificate, or without a name in it, is told: `notAuthorized` (0x87; 5 before MQTT 5) or `badUserNameOrPassword` (0x86; 4). */
    refuseAs: { type: 'string', enum: ['notAuthorized', 'badUserNameOrPassword'], default: 'notAuthorized' },
    /** Refuses clients without a certificate that was checked. `false` leaves them to the authentication plugins that come after. */
    required: { type: 'boolean', default: true },
  },
})
