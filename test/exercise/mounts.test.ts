// Mounts of every kind answer random acts as a plain directory does. announce.ts says how to
// run it for longer, or one failure again.
//
// An ordinary user begins elsewhere, so that two parts find more than one; and a mount is mostly the
// time that it takes to make, so some are exercised in one part with names, in the other with bytes.

import t from 'tap'
import { exerciseAll, type Wish } from './announce.ts'

const ROOT: readonly Wish[] = [
  { subject: 'one-layer', trees: 3, files: 2 },
  { subject: 'passthrough', trees: 2, files: 2 },
  { subject: 'three-layers', trees: 3, files: 2 },
  { subject: 'base-writable', trees: 0, files: 1 },
  { subject: 'forgetful', trees: 3, files: 0 },
  { subject: 'fuse-native', trees: 3, files: 0 },
]
const USER: readonly Wish[] = [
  { subject: 'one-layer', trees: 2, files: 1 },
  { subject: 'three-layers', trees: 3, files: 1 },
  { subject: 'base-writable', trees: 3, files: 0 },
  { subject: 'forgetful', trees: 0, files: 1 },
]

// Both begin with runs of many acts: a hundred and more each.
const isRoot = process.geteuid?.() === 0
await exerciseAll(t, isRoot ? ROOT : USER, isRoot ? 31 : 39)
