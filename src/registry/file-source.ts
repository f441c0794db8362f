import type { Platform } from '../core/index.js'
import type { ModelSource } from './types.js'

export declare function createFileSource(options: { readonly file: string; readonly platform: Platform }): ModelSource
