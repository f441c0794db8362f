// A gRPC client for any server; grpc-js is imported when the first one is opened.
import type { ChannelCredentials, Client, ClientOptions } from '@grpc/grpc-js'

export interface OpenClientOptions extends ClientOptions {
  /** Default: no encryption. */
  readonly credentials?: ChannelCredentials
}

/**
 * Opens a client for `host:port`. It connects with the first call:
 * `client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, metadata, options, callback)` with a method of
 * `inferenceService`.
 */
export async function openGrpcClient(
  address: string,
  { credentials, ...options }: OpenClientOptions = {},
): Promise<Client> {
  const grpc = await import('@grpc/grpc-js')
  return new grpc.Client(address, credentials ?? grpc.credentials.createInsecure(), options)
}
