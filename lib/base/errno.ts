// Errno values: the language in which the union answers the kernel.
//
// Rule: a handler throws an Errno (or anything else, which becomes EIO); only the
// session turns it into a reply. Common answers (an absent name, an unset attribute)
// are values, not exceptions, because a thrown error costs microseconds.

/** Numbers of asm-generic/errno-base.h and errno.h: the same on x86-64 and arm64. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const

export type ErrnoName = keyof typeof ERRNO

const NAMES = new Map<number, string>(Object.entries(ERRNO).map(([name, n]) => [n, name]))

/** `ENOENT` for 2; `errno 999` for a number that has no name here. */
export function errnoName(number: number): string {
  return NAMES.get(number) ?? `errno ${number}`
}

/** A failed system call, or a refusal of ours in the same terms. */
export class Errno extends Error {
  /** Positive errno value. */
  readonly number: number

  constructor(number: number, where = '') {
    super(where === '' ? errnoName(number) : `${where}: ${errnoName(number)}`)
    this.name = 'Errno'
    this.number = number
  }

  get code(): string {
    return errnoName(this.number)
  }
}

/** Throws the Errno called `name`. */
export function fail(name: ErrnoName, where = ''): never {
  throw new Errno(ERRNO[name], where)
}

/**
 * The errno for what a handler threw: an Errno's own number, the number of a Node system
 * error, or null for anything unexpected (the caller answers EIO and logs it).
 */
export function errnoOf(err: unknown): number | null {
  if (err instanceof Errno) return err.number
  const code = (err as NodeJS.ErrnoException | null)?.code
  if (typeof code === 'string' && code in ERRNO) return ERRNO[code as ErrnoName]
  return null
}
