// Partitioned streams of records: in this process, or a Kafka topic. Records of one partition have one reader at a time and an order.

export interface StreamRecord {
  readonly offset: number
  readonly key: string | undefined
  readonly value: Uint8Array
  /** The record's own timestamp. */
  readonly timestampMs: number
}

export interface SentRecord {
  /** Records of one key go to one partition. */
  readonly key?: string
  readonly value: string | Uint8Array
  /** Default: now. */
  readonly timestampMs?: number
}

/** Who reads keeps its own position: what the stream's group remembers is for those who watch it. */
export interface StreamReader {
  /** Asked whenever a partition comes to this reader: the offset to begin at; undefined: the oldest there is. */
  position(partition: number): Promise<number | undefined>
  /**
   * Records of a partition in their order; the next come when it has resolved. When it rejects, they come again after a while. It has to
   * be finished before another reader is given the partition.
   */
  batch(partition: number, records: readonly StreamRecord[]): Promise<void>
}

export interface StreamConsumer {
  /** Finishes the batches that are being read, and gives the partitions to others. */
  close(): Promise<void>
}

export interface Stream {
  send(topic: string, records: readonly SentRecord[]): Promise<void>
  /** Readers of one group share the partitions of a topic. A stream that cannot be reached is tried again until it is closed. */
  consume(topic: string, group: string, reader: StreamReader): Promise<StreamConsumer>
  close(): Promise<void>
}
