import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'
import { onTestFinished } from 'vitest'
import { folderWith } from '../config/folder.ts'
import { TestCa } from './test-ca.ts'

/** A key that an issuer signs with. */
export interface SigningKey {
  readonly alg: string
  readonly kid: string | undefined
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
}

export async function signingKey(kid?: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, publicKey }
}

/** The public part, as a JWKS holds it. */
export async function publicJwk({ publicKey, kid, alg }: SigningKey): Promise<JWK> {
  return { ...(await exportJWK(publicKey)), alg, use: 'sig', ...(kid === undefined ? {} : { kid }) }
}

export async function publicPem({ publicKey }: SigningKey): Promise<string> {
  return exportSPKI(publicKey)
}

/** A token of user `alice`, good for a minute from `now` (milliseconds), with other claims and another header where they are given. */
export function sign({ privateKey, alg, kid }: SigningKey, now: number, claims: object = {}, header: object = {}): Promise<string> {
  const seconds = Math.floor(now / 1000)
  const payload = { sub: 'alice', iss: 'https://issuer.example', aud: 'broker', exp: seconds + 60, ...claims }
  // As a forger would: without a look at what is in it.
  return new SignJWT(Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined)))
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }), ...header })
    .sign(privateKey)
}

/** A real HTTPS server that publishes keys, with a certificate of its own CA. */
export interface KeyServer {
  readonly url: string
  readonly ca: TestCa
  /** How often the keys were asked for. */
  readonly asked: number
  /** What it publishes. */
  publish(...keys: readonly SigningKey[]): Promise<void>
  /** Answers in another way from now on; `null`: with the keys again. */
  answer(answer: ((response: ServerResponse) => void) | null): void
  /** Takes no more connections. */
  close(): Promise<void>
  /** Listens again, at the same port. */
  open(): Promise<void>
}

export async function startKeyServer(...keys: readonly SigningKey[]): Promise<KeyServer> {
  const ca = await TestCa.create(await folderWith())
  const { cert, key } = await ca.issue('server', 'localhost')
  let asked = 0
  let text = ''
  let other: ((response: ServerResponse) => void) | null = null
  let port = 0
  let server: Server
  const publish = async (...published: readonly SigningKey[]): Promise<void> => {
    text = JSON.stringify({ keys: await Promise.all(published.map(publicJwk)) })
  }
  const close = (): Promise<void> =>
    new Promise(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const open = async (): Promise<void> => {
    server = createServer({ cert, key }, (_request, response) => {
      asked += 1
      if (other !== null) return other(response)
      response.setHeader('content-type', 'application/json')
      response.end(text)
    })
    await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }
  await publish(...keys)
  await open()
  onTestFinished(() => close())
  return {
    url: `https://localhost:${port}/.well-known/jwks.json`,
    ca,
    get asked() {
      return asked
    },
    publish,
    answer: answer => {
      other = answer
    },
    close,
    open,
  }
}
