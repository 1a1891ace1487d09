// How much room a preservation area has left. Several freezes may share one.
//
// Rule: bytes are counted in pages, as a disk and memory count them, before they are written.

import { ERRNO, Errno } from '../base/errno.ts'

const PAGE = 4096

/** Room of an area, shared by the freezes that preserve there. */
export class AreaRoom {
  limit: number
  used = 0

  constructor(limit = Number.POSITIVE_INFINITY) {
    this.limit = limit
  }
}

/** What one freeze has taken of its area's room. */
export class Budget {
  readonly #room: AreaRoom
  /** Bytes of this freeze, in whole pages. */
  bytes = 0

  constructor(room: AreaRoom) {
    this.#room = room
  }

  /** Throws ENOSPC where the area has no room for so many bytes more. */
  take(bytes: number): void {
    const pages = Math.ceil(bytes / PAGE) * PAGE
    if (this.#room.used + pages > this.#room.limit) throw new Errno(ERRNO.ENOSPC, 'freeze')
    this.#room.used += pages
    this.bytes += pages
  }

  /** So many are there already: no limit is asked. */
  own(bytes: number): void {
    this.#room.used += bytes
    this.bytes += bytes
  }

  /** As `take`, for a file of `size` bytes that grows by so many. */
  grow(size: number, by: number): void {
    const pages = Math.ceil((size + by) / PAGE) - Math.ceil(size / PAGE)
    if (pages > 0) this.take(pages * PAGE)
  }

  /** The freeze is gone with all that it had. */
  release(): void {
    this.#room.used -= this.bytes
    this.bytes = 0
  }
}
