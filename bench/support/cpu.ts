// CPU time of a process with all its threads and child processes, from /proc. Threads count in their process's
// figures; children that have ended count in those of the parent that waited for them.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Kernel ticks in a second: 100 on every Linux we know, asked once because it is not promised. */
let ticksPerSecond: number | undefined

interface Stat {
  readonly parent: number
  /** utime + stime + cutime + cstime. */
  readonly ticks: number
}

function readStat(pid: string): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined // It ended between the listing and the reading.
  }
  // The second field is the program's name in parentheses and may hold spaces; fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])
  return { parent: Number(fields[1]), ticks }
}

/**
 * Milliseconds of CPU that `pid` and everything below it have used since they started, in steps of 10 ms.
 * Take it before and after the work and subtract. A process that has left the tree (its parent ended first) is not seen.
 */
export function cpuMs(pid: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  const stats = readStats()
  if (!stats.has(pid)) throw new Error(`There is no process ${pid}: it ended before its CPU time was read.`)
  let ticks = 0
  for (const member of treeOf(pid, stats)) ticks += stats.get(member)!.ticks
  return (ticks / ticksPerSecond) * 1000
}

/** `pid` and everything below it. */
export function processTree(pid: number): number[] {
  return treeOf(pid, readStats())
}

function readStats(): ReadonlyMap<number, Stat> {
  if (process.platform !== 'linux') throw new Error('CPU time of a process tree is read from /proc: run this on Linux.')
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = readStat(name)
    if (stat !== undefined) stats.set(Number(name), stat)
  }
  return stats
}

function treeOf(pid: number, stats: ReadonlyMap<number, Stat>): number[] {
  const tree = [pid]
  for (const member of tree) for (const [child, { parent }] of stats) if (parent === member) tree.push(child)
  return tree
}
