export interface TypedFeature {
  readonly name: string
  readonly type: string
  readonly size?: number
}
export interface TypedEndpoint {
  readonly name: string
  readonly features: readonly TypedFeature[]
}
export declare function generateTypes(endpoints: readonly TypedEndpoint[]): string
