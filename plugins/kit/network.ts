export { networkOf } from '../../core/connection/network.ts'
