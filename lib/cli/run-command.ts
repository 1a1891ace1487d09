// svsfs run: a program with a private view as its root.

import type { Command } from 'commander'

export function addRunCommand(_program: Command): void {}
