import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { OperatorError } from '../../core/errors.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.woff2': 'font/woff2',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** What a browser is told of the page: nothing from elsewhere, nothing inline, in nobody's frame. */
export const pageHeaders = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

interface PageFile {
  readonly type: string
  readonly plain: Buffer
  readonly zipped: Buffer | null
  readonly tag: string
}

/** The files of the page, which the package brings: read once, and served from memory. */
export class PageFiles {
  #files: ReadonlyMap<string, PageFile> = new Map()

  /** Reads them. Rejects with an `OperatorError` where they were not built. */
  async load(): Promise<void> {
    // Beside the compiled sources, wherever this file itself has been joined into.
    const folder = join(dirname(createRequire(import.meta.url).resolve('mqttx-broker')), '..', 'page')
    const names = await readdir(folder).catch((): string[] => [])
    if (!names.includes('index.html'))
      throw new OperatorError(
        'ERR_ADMIN_PAGE',
        `admin.page: the page was not built into ${folder}; run npm install with dev dependencies once`,
      )
    const files = await Promise.all(names.map(async name => [`/${name}`, await fileOf(join(folder, name))] as const))
    this.#files = new Map([...files, ['/', files.find(([path]) => path === '/index.html')![1]]])
  }

  /** Answers a request for one of them; false: it is for something else. */
  answer({ method, url, headers }: IncomingMessage, response: ServerResponse): boolean {
    // A name in a table, and no path of a file: there is nothing to walk out of.
    const file = this.#files.get((url ?? '').split('?')[0]!)
    if (file === undefined || (method !== 'GET' && method !== 'HEAD')) return false
    const { type, plain, zipped, tag } = file
    const common = { ...pageHeaders, 'Cache-Control': 'no-cache', ETag: tag, Vary: 'Accept-Encoding' }
    if (headers['if-none-match'] === tag) {
      response.writeHead(304, common).end()
      return true
    }
    const isZipped = zipped !== null && /\bgzip\b/.test(String(headers['accept-encoding'] ?? ''))
    const body = isZipped ? zipped : plain
    response.writeHead(200, {
      ...common,
      'Content-Type': type,
      'Content-Length': body.length,
      ...(isZipped ? { 'Content-Encoding': 'gzip' } : {}),
    })
    response.end(method === 'HEAD' ? undefined : body)
    return true
  }
}

async function fileOf(path: string): Promise<PageFile> {
  const plain = await readFile(path)
  const extension = extname(path)
  const tag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 20)}"`
  // A font is compressed already.
  const zipped = extension === '.woff2' ? null : await promisify(gzip)(plain, { level: 9 })
  return { type: types[extension] ?? 'application/octet-stream', plain, zipped, tag }
}
