// A trial: calls made in one place, each with its answer written down, so that two places can
// be compared answer by answer.
//
//   t.calls.mkdir('d', 0o755)                             mkdir("d", 493) = ok
//   t.wants('EEXIST').mkdir('d')                          mkdir("d") = EEXIST, as it should
//   t.as(1000, 1000, () => t.calls.unlink('d/f'))         1000:1000 unlink("d/f") = EACCES
//   t.calls.open('f')?.read(9)                            open("f") = ok, #1.read(9) = "content"
//
// Rule: a call that is refused answers null and the trial goes on; what differs from place to
// place by right (inode numbers, moments, blocks of a disk) is never in an answer.

import { Errno } from '../../lib/base/errno.ts'
import { setFileOwner, setThreadGroups } from '../../lib/host/thread.ts'
import { tick } from '../behaviour/act.ts'
import type { Facts, Listed } from '../behaviour/place.ts'
import type { RealPlace } from '../behaviour/real-place.ts'

/** The same methods; a refusal answers null, and what is opened is written down too. */
export type Recorded<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => (R extends { close(): void } ? Recorded<R> : R) | null
    : T[K]
}

/** One answer: what was called, what came back, and what a standard says should have. */
export interface Answer {
  readonly words: string
  readonly got: string
  readonly wanted: string | null
}

/** The calls that a trial makes by name. `path`, `needs`, `close` are the place's own. */
type Calls = Omit<RealPlace, 'needs' | 'path' | 'umask' | 'as' | 'close' | 'root' | 'fd'>

export type Recorder = Recorded<Calls>

export type TimeName = 'atime' | 'mtime' | 'ctime'

export class Trial {
  readonly place: RealPlace
  readonly answers: Answer[] = []
  #who = ''
  #opened = 0

  constructor(place: RealPlace) {
    this.place = place
  }

  /** Calls whose answers are written down and compared. */
  get calls(): Recorder {
    return this.#recorder(null)
  }

  /** As `calls`; a plain directory must give this answer: an errno's name, or 'ok'. */
  wants(answer: string): Recorder {
    return this.#recorder(answer)
  }

  /** Writes down what `work` answers, under `words`: for what is no call of Place. */
  says(words: string, work: () => unknown, wanted: string | null = null): void {
    this.#record(words, wanted, work)
  }

  /** Does `work` as another user and group, with these supplementary groups. */
  as<T>(uid: number, gid: number, work: () => T, groups: readonly number[] = []): T {
    const before = this.#who
    setThreadGroups(groups)
    setFileOwner(uid, gid)
    this.#who = `${uid}:${[gid, ...groups].join('+')} `
    try {
      return work()
    } finally {
      setFileOwner(0, 0)
      setThreadGroups([])
      this.#who = before
    }
  }

  /** Does `work` with another umask. */
  umask<T>(mask: number, work: () => T): T {
    return this.place.umask(mask, work)
  }

  /** Writes down what lstat says of the names, whether some are one file, and what they hold. */
  sees(...paths: string[]): void {
    for (const path of paths)
      this.#record(`lstat(${show(path)})`, null, () => this.place.lstat(path))
  }

  /** Writes down whether two names are one file. */
  same(a: string, b: string): void {
    const one = () => this.place.lstat(a).ino === this.place.lstat(b).ino
    this.#record(`same(${show(a)}, ${show(b)})`, null, one)
  }

  /** Writes down which times of which names `work` moved: of the times that are asked for. */
  moves(
    paths: readonly string[],
    work: () => void,
    wanted: string | null = null,
    times: readonly TimeName[] = CHANGES,
  ): void {
    const before = paths.map((path) => this.#timesOf(path))
    tick()
    work()
    const moved = paths.map((path, i) => {
      const after = this.#timesOf(path)
      const names = times.filter((name) => before[i]?.[name] !== after?.[name])
      return `${path || '.'}: ${names.join(' ') || 'none'}`
    })
    this.#record('times that moved', wanted === null ? null : show(wanted), () => moved.join(', '))
  }

  #timesOf(path: string): Facts | null {
    try {
      return this.place.lstat(path)
    } catch (err) {
      if (err instanceof Errno) return null
      throw err
    }
  }

  #recorder(wanted: string | null): Recorder {
    return this.#wrap(this.place as Calls, '', wanted) as Recorder
  }

  #wrap<T extends object>(target: T, prefix: string, wanted: string | null): Recorded<T> {
    return new Proxy(target, {
      get: (_, name: string) => {
        const method = (target as Record<string, (...args: unknown[]) => unknown>)[name]
        if (typeof method !== 'function') return method
        return (...args: unknown[]) => {
          const words = `${prefix}${name}(${args.map(show).join(', ')})`
          const answer = this.#record(words, wanted, () => method.apply(target, args))
          return isOpened(answer) ? this.#wrap(answer, `#${++this.#opened}.`, wanted) : answer
        }
      },
    }) as Recorded<T>
  }

  #record<T>(words: string, wanted: string | null, work: () => T): T | null {
    let answer: T | null = null
    let got: string
    try {
      answer = work()
      got = answer === undefined || isOpened(answer) ? 'ok' : show(answer)
    } catch (err) {
      if (!(err instanceof Errno)) throw err
      got = err.code
    }
    this.answers.push({ words: `${this.#who}${words}`, got, wanted })
    return answer
  }
}

/** Without atime, which a directory or link below does not move. */
const CHANGES: readonly TimeName[] = ['mtime', 'ctime']

const isOpened = (answer: unknown): answer is { close(): void } =>
  typeof answer === 'object' && answer !== null && 'close' in answer

/** What is compared of an answer, as text. */
function show(value: unknown): string {
  if (typeof value === 'string') return shorten(JSON.stringify(value))
  if (Buffer.isBuffer(value)) return shorten(JSON.stringify(value.latin1Slice()))
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`
  if (value === null || typeof value !== 'object') return String(value)
  if ('nlink' in value) return showFacts(value as Facts)
  if ('kind' in value) return `${(value as Listed).kind} ${show((value as Listed).name)}`
  return '…'
}

const shorten = (text: string): string =>
  text.length <= 80 ? text : `${text.slice(0, 60)}… ${text.length} of hash ${hash(text)}`

// FNV-1a, to tell long answers apart.
function hash(text: string): string {
  let state = 0x811c9dc5
  for (let i = 0; i < text.length; i++)
    state = Math.imul(state ^ text.charCodeAt(i), 0x01000193) >>> 0
  return state.toString(16)
}

function showFacts(facts: Facts): string {
  const { kind, mode, nlink, uid, gid, size, rdev } = facts
  // Filesystems differ in what size and links of a directory mean.
  const more = kind === 'directory' ? '' : ` links ${nlink} size ${size}`
  return `${kind} ${mode.toString(8)} ${uid}:${gid}${more}${rdev === 0 ? '' : ` device ${rdev}`}`
}
