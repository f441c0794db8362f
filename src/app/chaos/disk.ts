// A disk that is full when a fault says so, for the log's files and for the metadata store's decisions.
import type { LogFile, LogFiles } from '../../log/index.js'
import type { Faults } from './faults.js'

export function isDiskFull(faults: Faults): boolean {
  return faults.find('disk-full') !== undefined
}

/** File operations of which those that need room fail with ENOSPC. */
export function faultyFiles(files: LogFiles, faults: Faults): LogFiles {
  const needsRoom = (path: string): void => {
    if (!isDiskFull(faults)) return
    throw Object.assign(new Error(`ENOSPC: no space left on device (chaos), write '${path}'`), { code: 'ENOSPC' })
  }
  return {
    ...files,
    async open(path, flags) {
      if (flags === 'wx') needsRoom(path)
      const file = await files.open(path, flags)
      const faulty: LogFile = {
        read: (buffer, offset, length, position) => file.read(buffer, offset, length, position),
        async write(buffer, offset, length, position) {
          needsRoom(path)
          return file.write(buffer, offset, length, position)
        },
        datasync: () => file.datasync(),
        truncate: (sizeBytes) => file.truncate(sizeBytes),
        size: () => file.size(),
        close: () => file.close(),
      }
      return faulty
    },
  }
}
