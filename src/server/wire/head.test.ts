import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadReader } from './head.js'

const PLAIN =
  'POST /v2/models/fraud/infer HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n'

function read(text: string, reader = new HeadReader(), likely = reader.head) {
  return reader.read(Buffer.from(text, 'latin1'), 0, likely)
}

/** The plain request with one more header line. */
const withLine = (line: string) => PLAIN.replace('\r\n\r\n', `\r\n${line}\r\n\r\n`)

describe('a head', () => {
  it('of a plain prediction is read whole', () => {
    const reader = new HeadReader()
    expect(read(`${PLAIN}{"inputs":[]}`, reader)).toBe('whole')
    expect(reader.end).toBe(PLAIN.length)
    expect(reader.contentLength).toBe(17)
    expect(reader.head).toMatchObject({
      url: '/v2/models/fraud/infer',
      target: { protocol: 'oip', name: 'fraud', version: undefined },
      host: 'localhost:8080',
      origin: undefined,
      headers: { 'content-type': 'application/json' },
      isKeptAlive: true,
    })
  })

  it('keeps the headers that predictions look at, whatever their case', () => {
    const reader = new HeadReader()
    const lines =
      'HEADRACE-UNIT: user-7\r\nheadrace-priority:high\r\nTraceParent:  00-ab\r\nCONNECTION: Close\r\nOrigin: null'
    expect(read(withLine(lines), reader)).toBe('whole')
    expect(reader.head).toMatchObject({
      headers: { 'headrace-unit': 'user-7', 'headrace-priority': 'high', traceparent: '00-ab' },
      isKeptAlive: false,
      origin: 'null',
    })
  })

  it('is incomplete wherever it is cut, and never anything else', () => {
    const whole = withLine('traceparent: 00-0123')
    for (let length = 0; length < whole.length; length++) expect(read(whole.slice(0, length))).toBe('incomplete')
  })

  it.each([
    ['another method', PLAIN.replace('POST', 'GET')],
    ['a method in lower case', PLAIN.replace('POST', 'post')],
    ['another path', PLAIN.replace('/infer', '/ready')],
    ['a whole URL', PLAIN.replace('/v2', 'http://localhost/v2')],
    ['a path that cannot be decoded', PLAIN.replace('fraud', '%ff')],
    ['a fragment', PLAIN.replace('/infer', '/infer#x')],
    ['HTTP/1.0', PLAIN.replace('HTTP/1.1', 'HTTP/1.0')],
    ['HTTP/1.1 in lower case', PLAIN.replace('HTTP/1.1', 'http/1.1')],
    ['two spaces', PLAIN.replace('POST ', 'POST  ')],
    ['an empty line before', `\r\n${PLAIN}`],
    ['bare newlines', PLAIN.replaceAll('\r\n', '\n')],
    ['a bare newline in a header', withLine('X-A: b\nX-C: d')],
    ['a bare carriage return in a header', withLine('X-A: b\rX-C: d')],
    ['a bare carriage return at the end', PLAIN.replace(/\r\n$/, '\rx')],
    ['no host', PLAIN.replace(/Host.*\r\n/, '')],
    ['two hosts', withLine('host: localhost')],
    ['an empty host', PLAIN.replace('Host: localhost:8080', 'Host: ')],
    ['no length', PLAIN.replace(/Content-Length.*\r\n/, '')],
    ['two lengths', withLine('content-length: 17')],
    ['a length with a sign', PLAIN.replace('17', '+17')],
    ['a length with a zero before it', PLAIN.replace('17', '017')],
    ['a length in hexadecimal', PLAIN.replace('17', '0x11')],
    ['a list of lengths', PLAIN.replace('17', '17, 17')],
    ['a length beyond every limit', PLAIN.replace('17', '99999999999999999999')],
    ['a length with a space after it', PLAIN.replace('17', '17 ')],
    ['two content types', withLine('Content-Type: text/plain')],
    ['two units', withLine('headrace-unit: a\r\nheadrace-unit: b')],
    ['Transfer-Encoding', withLine('Transfer-Encoding: chunked')],
    ['TRANSFER-ENCODING', withLine('TRANSFER-ENCODING: identity')],
    ['Expect', withLine('Expect: 100-continue')],
    ['Upgrade', withLine('Upgrade: h2c')],
    ['Trailer', withLine('Trailer: x')],
    ['Proxy-Connection', withLine('Proxy-Connection: close')],
    ['Connection with a list', withLine('Connection: close, te')],
    ['Connection: upgrade', withLine('Connection: upgrade')],
    ['a space before the colon', withLine('X-A : b')],
    ['a space before the colon of a length', PLAIN.replace('Length:', 'Length :')],
    ['a header without a name', withLine(': b')],
    ['a header without a colon', withLine('X-A')],
    ['a folded header', withLine('X-A: b\r\n c')],
    ['a folded header with a tab', withLine('X-A: b\r\n\tc')],
    ['a tab in a value', withLine('X-A: b\tc')],
    ['a NUL in a value', withLine('X-A: b\u0000c')],
    ['a NUL in a name', withLine('X-\u0000A: b')],
    ['a byte above ASCII in a value', withLine('X-A: \u00e9')],
    ['a DEL in a value', withLine('X-A: \u007f')],
    ['a NUL in the path', PLAIN.replace('fraud', 'fra\u0000ud')],
    ['a tab in the request line', PLAIN.replace('POST ', 'POST\t')],
    ['a head of 5 KiB', withLine(`X-A: ${'a'.repeat(5000)}`)],
    ['TLS', '\u0016\u0003\u0001'],
  ])('with %s is not read here', (_, text) => {
    expect(read(text)).toBe('other')
  })

  it('is handed on as soon as it is seen to be odd, not when it is whole', () => {
    expect(read('GET')).toBe('other')
    expect(read('POST /v2/models/fraud/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ')).toBe('other')
    expect(read('POST /v2/models/fraud/infer HTTP/1.1\r\nX-A : ')).toBe('other')
    expect(read(`POST /v2/models/${'x'.repeat(5000)}`)).toBe('other')
  })

  it('that came before is recognized, with another length too', () => {
    const reader = new HeadReader()
    read(PLAIN, reader)
    const { head } = reader
    for (const digits of ['17', '0', '5', '123456']) {
      expect(read(PLAIN.replace('17', digits), reader)).toBe('whole')
      expect(reader.head).toBe(head)
      expect(reader.contentLength).toBe(Number(digits))
      expect(reader.end).toBe(PLAIN.length - 2 + digits.length)
    }
    for (const digits of ['', '017', '-1', '1e3', '17 ', '12345678'])
      expect(read(PLAIN.replace('17', digits), reader)).toBe('other')
  })

  it('reads the same with and without a memory, for any change of one byte', () => {
    const memory = new HeadReader()
    read(PLAIN, memory)
    const likely = memory.head
    fc.assert(
      fc.property(
        fc.nat(PLAIN.length - 1),
        fc.nat(255),
        fc.constantFrom('replace', 'insert', 'delete'),
        (at, byte, how) => {
          const changed =
            PLAIN.slice(0, at) +
            (how === 'delete' ? '' : String.fromCharCode(byte)) +
            PLAIN.slice(how === 'insert' ? at : at + 1)
          const fresh = new HeadReader()
          const result = read(changed, fresh, undefined)
          expect(read(changed, memory, likely)).toBe(result)
          if (result !== 'whole') return
          expect(memory.head).toEqual(fresh.head)
          expect([memory.end, memory.contentLength]).toEqual([fresh.end, fresh.contentLength])
        },
      ),
      { numRuns: 2000 },
    )
  })
})
