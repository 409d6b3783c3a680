import { defineOptions } from '../../core/options.ts'

export const memoryOptions = defineOptions({})
