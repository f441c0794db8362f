// Entries of a cache in order of use: a circular list threaded through the entries, so that moving one allocates nothing.

/** The segment of a node that is in no list. */
export const NOWHERE = 0

/** What the policy knows of an entry. Extend it with whatever the entry holds. */
export class CacheNode {
  segment = NOWHERE
  previous: CacheNode = this
  next: CacheNode = this

  constructor(
    /** 32 bits of the key. */
    readonly hash: number,
    readonly sizeBytes: number,
  ) {}
}

/** A circular list with its bytes; the newest comes first. */
export class Segment {
  /** Before the first and after the last. */
  readonly end = new CacheNode(0, 0)
  bytes = 0

  constructor(private readonly name: number) {}

  get isEmpty(): boolean {
    return this.end.next === this.end
  }

  get hasMoreThanOne(): boolean {
    return this.end.next !== this.end.previous
  }

  get last(): CacheNode {
    return this.end.previous
  }

  push(node: CacheNode): void {
    this.#insert(node, this.end)
  }

  pushLast(node: CacheNode): void {
    this.#insert(node, this.end.previous)
  }

  toFront(node: CacheNode): void {
    if (this.end.next === node) return
    unlink(node)
    link(node, this.end)
  }

  remove(node: CacheNode): void {
    unlink(node)
    node.segment = NOWHERE
    this.bytes -= node.sizeBytes
  }

  removeLast(): CacheNode {
    const node = this.last
    this.remove(node)
    return node
  }

  #insert(node: CacheNode, after: CacheNode): void {
    link(node, after)
    node.segment = this.name
    this.bytes += node.sizeBytes
  }
}

function link(node: CacheNode, after: CacheNode): void {
  node.previous = after
  node.next = after.next
  after.next.previous = node
  after.next = node
}

function unlink(node: CacheNode): void {
  node.previous.next = node.next
  node.next.previous = node.previous
  node.previous = node
  node.next = node
}
