import type { ModelManifest } from '../tensor/index.js'

export declare function readManifest(text: string, source: string): ModelManifest
export declare const defaultManifest: ModelManifest
