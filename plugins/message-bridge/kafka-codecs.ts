import { promisify } from 'node:util'
import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import { OperatorError } from '../../core/errors.ts'

/** As kafkajs wants it: what it has encoded, made small. It reads nothing here, but whoever shares the process with it may. */
interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}

type Compress = (bytes: Buffer) => Buffer | Uint8Array | Promise<Buffer>

interface Snappy {
  default: () => Codec
}
interface Lz4 {
  compressFrame: Compress
  decompressFrame: Compress
}
interface Zstd {
  init(): Promise<void>
  compress: Compress
  decompress: Compress
}

const codecOf = (compress: Compress, decompress: Compress): Codec => ({
  compress: async ({ buffer }) => Buffer.from(await compress(buffer)),
  decompress: async buffer => Buffer.from(await decompress(buffer)),
})

// Node brings zstd since 22.15; its types, of the oldest Node that we run on, do not know.
const own = zlib as unknown as { zstdCompress?: Parameters<typeof promisify>[0]; zstdDecompress?: Parameters<typeof promisify>[0] }

/**
 * What kafkajs does not bring along. The packages that bear kafkajs's name for lz4 and zstd build abandoned native code that no longer compiles, so others
 * stand in for them.
 */
const codecs = {
  snappy: { type: 2, package: 'kafkajs-snappy', make: async (found: unknown) => (found as Snappy).default() },
  lz4: {
    type: 3,
    package: 'lz4-napi',
    make: async (found: unknown) => codecOf((found as Lz4).compressFrame, (found as Lz4).decompressFrame),
  },
  zstd: {
    type: 4,
    package: own.zstdCompress === undefined ? '@bokuweb/zstd-wasm' : null,
    make: async (found: unknown) => {
      if (own.zstdCompress !== undefined)
        return codecOf(promisify(own.zstdCompress) as Compress, promisify(own.zstdDecompress!) as Compress)
      const { init, compress, decompress } = found as Zstd
      await init()
      return codecOf(compress, decompress)
    },
  },
} as const

/** Makes kafkajs know a way of compressing. Throws where the package that it takes is not installed. */
export async function loadCodec(compression: 'none' | 'gzip' | keyof typeof codecs): Promise<void> {
  if (compression === 'none' || compression === 'gzip') return
  const { type, package: name, make } = codecs[compression]
  try {
    const codec = await make(name === null ? null : await import(name as string))
    ;(kafkajs.CompressionCodecs as Record<number, unknown>)[type] = () => codec
  } catch (cause) {
    throw new OperatorError('ERR_CONFIG', `messageBridge.compression: ${compression} needs a package of its own: npm install ${name}`, {
      cause,
    })
  }
}
