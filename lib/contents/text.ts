// Bytes that are text: UTF-8, or UTF-16 with the mark that says so.
//
// Rule: nothing is guessed, and nothing is replaced; what holds NUL is no text.

/** Without a mark at its beginning; null for what is no text. */
export function textOf(bytes: Uint8Array): string | null {
  const isWide = bytes[0] === 0xff && bytes[1] === 0xfe
  try {
    const text = new TextDecoder(isWide ? 'utf-16le' : 'utf-8', { fatal: true }).decode(bytes)
    return text.includes('\0') ? null : text
  } catch {
    return null
  }
}
