import { defineOptions } from '../../core/config/options.ts'

export const memoryOptions = defineOptions({})
