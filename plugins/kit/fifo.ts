export { Fifo } from '../../core/fifo.ts'
