import type { Conf, Listener } from './conf.ts'
import type { Translation } from './translation.ts'

// OpenSSL's own, which stay where only the ciphers of TLS 1.2 are named; Node would leave TLS 1.3 out.
const suites = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

/** The option `tls` of a listener; `undefined`: mosquitto speaks plain MQTT there, too. */
export function tlsOf(conf: Conf, listener: Listener, translation: Translation): Record<string, unknown> | undefined {
  const [cert, key, ca, hint] = ['certfile', 'keyfile', 'cafile', 'psk_hint'].map(name => listener.text(name))
  for (const [name, reason] of Object.entries(left)) translation.leave(listener.line(name), reason)
  const keys = (conf.perListener ? listener : conf.security).text('psk_file')
  const form = listener.line('tls_keyform')
  if (form !== undefined && form.value !== 'pem') translation.leave(form, 'the key has to be a file in PEM', true)
  if (cert === undefined && key === undefined && hint === undefined) return undefined
  const folder = listener.line('capath')
  if (ca !== undefined && folder !== undefined)
    translation.leave(folder, 'CAs come from cafile or from capath, here from cafile: put all of them into one of the two', true)
  const asks = listener.flag('require_certificate') === true
  const crl = listener.line('crlfile')
  if (crl !== undefined && !asks) translation.leave(crl, 'without require_certificate nobody shows a certificate, in mosquitto neither')
  const identity = identityOf(listener)
  const ciphers = ciphersOf(listener)
  return {
    ...(cert === undefined ? {} : { cert: translation.path(cert) }),
    ...(key === undefined ? {} : { key: translation.path(key) }),
    ...(asks ? { clientAuth: true } : {}),
    // Without require_certificate too: what stands between the broker's certificate and its CA is taken from here, and sent along.
    ...((ca ?? folder) !== undefined ? { ca: translation.path(ca ?? folder!.value) } : {}),
    ...(asks && crl !== undefined ? { crl: translation.path(crl.value) } : {}),
    ...(hint === undefined || keys === undefined ? {} : { pskFile: translation.path(keys) }),
    ...(hint === undefined ? {} : { pskHint: hint }),
    ...(identity === undefined || (!asks && hint === undefined) ? {} : { usernameFrom: identity }),
    ...versionOf(listener, translation),
    ...(ciphers === undefined ? {} : { ciphers }),
  }
}

/** Which part of a client's certificate is its user name there; `undefined`: none is. */
export function identityOf(listener: Listener): 'commonName' | 'subject' | undefined {
  if (listener.flag('use_identity_as_username') === true) return 'commonName'
  return listener.flag('use_subject_as_username') === true ? 'subject' : undefined
}

function versionOf(listener: Listener, translation: Translation): { minVersion?: string } {
  const line = listener.line('tls_version')
  if (line?.value === 'tlsv1.3') return { minVersion: 'TLSv1.3' }
  if (line !== undefined && line.value !== 'tlsv1.2') translation.leave(line, 'the oldest version that is spoken is TLS 1.2')
  return {}
}

function ciphersOf(listener: Listener): string | undefined {
  const [old, modern] = [listener.text('ciphers'), listener.text('ciphers_tls1.3')]
  if (old === undefined && modern === undefined) return undefined
  return [modern ?? suites, old ?? 'ECDHE+AESGCM:ECDHE+CHACHA20'].join(':')
}

const left: Readonly<Record<string, string>> = {
  dhparamfile: 'keys are agreed on by elliptic curves (ECDHE), which need no parameters',
  tls_engine: 'there are no engines of OpenSSL; the key has to be a file in PEM',
  tls_engine_kpass_sha1: 'there are no engines of OpenSSL; an encrypted key has its password in tls.passphrase',
}
