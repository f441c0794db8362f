// Lets the event loop serve others: loops that read ahead from memory would otherwise run on microtasks alone.
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
