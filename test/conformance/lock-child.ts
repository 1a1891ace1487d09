// Another process that asks for a record lock: `node lock-child.js FILE TYPE START LENGTH`.
// It says what fcntl(2) answered; its locks end with it.

import { Errno } from '../../lib/base/errno.ts'
import { AT_FDCWD, must, O, sys } from '../../lib/host/sys.ts'
import { call, F } from './calls.ts'

const [file = '', ...numbers] = process.argv.slice(2)
const [type = 0, start = 0, length = 0] = numbers.map(Number)
const fd = must(sys.openat(AT_FDCWD, file, O.RDWR), file)
const answers = [F.GETLK, F.SETLK].map((command) => {
  try {
    return call.lock(fd, command, type, start, length) ?? 'ok'
  } catch (err) {
    if (err instanceof Errno) return err.code
    throw err
  }
})
process.stdout.write(answers.join(', '))
