// Prints each failed test and then `N passed, N failed, N skipped` from Vitest's JSON report. A file that failed before
// its first test (it does not load), a run that failed outside any test, and a run without a report each count as one
// failure.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [file, status] = process.argv.slice(2)
const counts = { passed: 0, failed: 0, skipped: 0 }
if (existsSync(file)) {
  for (const { name, status: fileStatus, message, assertionResults } of JSON.parse(readFileSync(file, 'utf8'))
    .testResults) {
    const path = relative(process.cwd(), name)
    for (const { status: result, fullName, failureMessages } of assertionResults) {
      counts[result === 'passed' || result === 'failed' ? result : 'skipped'] += 1
      if (result === 'failed') print(path, fullName, failureMessages[0])
    }
    if (fileStatus === 'failed' && !assertionResults.some(({ status: result }) => result === 'failed')) {
      counts.failed += 1
      print(path, 'the file itself', message)
    }
  }
}

function print(path, test, message = '') {
  process.stdout.write(`FAILED: ${path}: ${test}\n        ${message.split('\n')[0].slice(0, 300)}\n`)
}

if (counts.failed === 0 && status !== '0') counts.failed = 1
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
