export * from '../../core/cut-text.ts'
