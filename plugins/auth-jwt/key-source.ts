import { resolve } from 'node:path'
import type { PluginContext } from '../../core/context.ts'
import { OperatorError } from '../../core/errors.ts'
import type { OptionsOf } from '../../core/options/options.ts'
import { readConfigured } from '../kit/client-tls.ts'
import { keyOfSecret, keysOfFile, publicAlgorithms, secretAlgorithms, secretBytes } from './keys.ts'
import { FileKeys, fixedKey, type KeySource, readKeys } from './local-keys.ts'
import type { authJwtManifest } from './manifest.ts'
import { RemoteKeys } from './remote-keys.ts'

type Options = OptionsOf<typeof authJwtManifest.options>

const places = ['jwks', 'keyFile', 'secretFile', 'secret'] as const

/** The keys that the options name, and the algorithms that count with them. */
export function keySourceOf(
  { broker, clock, log }: PluginContext,
  options: Options,
): { readonly keys: KeySource | RemoteKeys; readonly algorithms: readonly string[] } {
  const named = places.filter(place => options[place] !== null)
  const [place, other] = named
  if (place === undefined || other !== undefined) {
    const what = place === undefined ? 'says nowhere which keys count' : `names ${named.join(' and ')}`
    throw new OperatorError('ERR_CONFIG', `authJwt: it ${what}; name one of ${places.join(', ')}`)
  }
  const isSecret = place === 'secret' || place === 'secretFile'
  const algorithms = algorithmsOf(options.algorithms, isSecret)
  const { encoding, checkFileEvery: everyMs } = options
  const watched = (option: string, path: string) => ({
    option,
    path,
    folder: broker.folder,
    clock,
    everyMs,
    failed: (error: Error) => log.error({ err: error }, `the file of keys has changed and is not taken up: ${error.message}`),
  })
  const ofSecret = (text: string) => keyOfSecret(secretBytes(text, encoding), algorithms)
  switch (place) {
    case 'jwks':
      return { keys: remote(options, { broker, clock, log }), algorithms }
    case 'keyFile':
      return { keys: new FileKeys(watched('authJwt.keyFile', options.keyFile!), keysOfFile), algorithms }
    case 'secretFile':
      return {
        keys: new FileKeys(watched('authJwt.secretFile', options.secretFile!), text => [ofSecret(text.replace(/\r?\n$/, ''))]),
        algorithms,
      }
    case 'secret':
      return { keys: fixedKey(readKeys('authJwt.secret', () => ofSecret(options.secret!))), algorithms }
  }
}

// An algorithm for secrets never meets a public key: everybody has that one.
function algorithmsOf(named: readonly string[], isSecret: boolean): readonly string[] {
  if (named.length === 0) return isSecret ? ['HS256'] : publicAlgorithms
  const possible = isSecret ? secretAlgorithms : publicAlgorithms
  const wrong = named.find(name => !possible.includes(name))
  if (wrong === undefined) return named
  const what = isSecret
    ? `goes with public keys, and authJwt has a secret`
    : `goes with a secret, and the keys here are public: whoever has read them could sign with it`
  throw new OperatorError('ERR_CONFIG', `authJwt.algorithms: ${wrong} ${what}; there are ${possible.join(', ')}`)
}

function remote(options: Options, { broker, clock, log }: Pick<PluginContext, 'broker' | 'clock' | 'log'>): RemoteKeys {
  const { jwks, refreshEvery, missEvery, staleFor, timeout, ca } = options
  if (!URL.canParse(jwks!)) throw new OperatorError('ERR_CONFIG', 'authJwt.jwks: not a URL; write https://host/path')
  return new RemoteKeys({
    url: jwks!,
    clock,
    log,
    refreshMs: refreshEvery,
    missMs: missEvery,
    staleMs: staleFor,
    timeoutMs: timeout,
    readCa: () => (ca === null ? undefined : readConfigured('authJwt.ca', resolve(broker.folder, ca))),
  })
}
