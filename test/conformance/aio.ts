// Asynchronous I/O of the kernel (io_submit(2)), one request at a time.

import koffi from 'koffi'
import { Errno } from '../../lib/base/errno.ts'
import { call } from './calls.ts'

const arm = process.arch === 'arm64'
const SYS = arm
  ? { setup: 0, destroy: 1, submit: 2, getevents: 4 }
  : { setup: 206, destroy: 207, submit: 209, getevents: 208 }

export const AIO = { PREAD: 0, PWRITE: 1, FSYNC: 2, FDSYNC: 3 } as const

const at = (bytes: Buffer): bigint => BigInt(koffi.address(bytes))
const ask = (number: number, ...words: (number | bigint)[]): number =>
  call.syscall(number, ...words, ...Array(6 - words.length).fill(0))

/** Submits one request and waits for it. Answers its result; throws Errno. */
export function submit(opcode: number, fd: number, bytes: Buffer, offset: number): number {
  const context = Buffer.alloc(8)
  ask(SYS.setup, 4, at(context))
  const id = context.readBigUInt64LE()
  try {
    // struct iocb: data u64, key, flags u32, opcode, priority u16, fd u32, buffer, length,
    // offset u64, 16 unused, and an eventfd
    const request = Buffer.alloc(64)
    request.writeUInt16LE(opcode, 16)
    request.writeInt32LE(fd, 20)
    request.writeBigUInt64LE(at(bytes), 24)
    request.writeBigUInt64LE(BigInt(bytes.length), 32)
    request.writeBigInt64LE(BigInt(offset), 40)
    const list = Buffer.alloc(8)
    list.writeBigUInt64LE(at(request))
    ask(SYS.submit, id, 1, at(list))
    // struct io_event: data, request u64, result, result2 s64
    const event = Buffer.alloc(32)
    ask(SYS.getevents, id, 1, 1, at(event), 0)
    const result = Number(event.readBigInt64LE(16))
    if (result < 0) throw new Errno(-result, 'aio')
    return result
  } finally {
    ask(SYS.destroy, id)
  }
}
