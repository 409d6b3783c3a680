export { sslOptions } from '../kit/listening/tls-options.ts'
