#!/usr/bin/env node
// The program: everything is in lib/cli.
import { main } from '../lib/cli/main.ts'

await main(process.argv)
