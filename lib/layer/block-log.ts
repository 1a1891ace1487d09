// The block map of a preserved large file: which of its pages lie in the preservation area, and
// where. Written by the union before the pages change (lib/union/freeze-blocks.ts), read by
// whoever reads the image, perhaps at the same time (lib/snapshot/area.ts).
//
//   map-<ino>      records, one after the other: page f64, count f64, at f64   (little endian)
//                  at >= 0     the pages lie in blocks-<ino> from that byte on
//                  at = HOLE   they were a hole
//                  at = BULK   they lie in bulk-<ino>, where they lay in the file; a hole there was one
//   blocks-<ino>   pages as they came, without gaps
//   bulk-<ino>     what an io thread copied at once: counts only where a record says so
//
// Rule: a record is appended when its pages are there, before they change in the file; a page
// that has one is never recorded again. An incomplete record at the end does not count.

/** Bytes of a page. */
export const PAGE = 4096
/** Bytes of a record. */
export const RECORD = 24
export const HOLE = -1
export const BULK = -2

export interface PagesRecord {
  /** Number of the first page. */
  readonly page: number
  readonly count: number
  readonly at: number
}

export function encodeRecord(into: Buffer, { page, count, at }: PagesRecord): void {
  into.writeDoubleLE(page, 0)
  into.writeDoubleLE(count, 8)
  into.writeDoubleLE(at, 16)
}

/** The whole records among the bytes. Null where one makes no sense: the map is damaged. */
export function decodeRecords(bytes: Buffer): PagesRecord[] | null {
  const records: PagesRecord[] = []
  for (let start = 0; start + RECORD <= bytes.length; start += RECORD) {
    const page = bytes.readDoubleLE(start)
    const count = bytes.readDoubleLE(start + 8)
    const at = bytes.readDoubleLE(start + 16)
    const isPlace = at === HOLE || at === BULK || (isCount(at) && at % PAGE === 0)
    if (!isCount(page) || !isCount(count) || count === 0 || !isPlace) return null
    records.push({ page, count, at })
  }
  return records
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
