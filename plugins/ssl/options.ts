export { sslOptions } from '../../core/tls/options.ts'
