// A command on a host: its methods are called there, over ssh, and its answer is shown here.
//
//   svsfs snapshot NAME --host desk1  ─▶ link ─▶ svsfs receive there ─▶ its store
//
// Rule: words, questions and printing stay on this side, so nothing is quoted for another shell. Only
// what lib/deploy/messages.ts allows can be called.

import { z } from 'zod'
import { Failure } from '../base/failure.ts'
import type { Answer, MethodName, Params } from '../daemon/api.ts'
import type { Link } from '../deploy/link.ts'
import { openLink } from './on-hosts.ts'
import { Session } from './session.ts'

export class HostSession extends Session {
  override readonly isRemote = true
  readonly #name: string
  readonly #tell: (text: string) => void
  #link: Promise<Link> | null = null

  constructor(root: string, name: string, progress: (text: string) => void) {
    super(root, progress)
    this.#name = name
    this.#tell = progress
  }

  override async call<Name extends MethodName>(
    method: Name,
    params: Params<Name>,
  ): Promise<Answer<Name>> {
    this.#link ??= this.#open()
    const link = await this.#link
    // What a newer host answers may have more in it; what it lacks shows as missing.
    const asked = { ask: 'call', params: { method, params: params as Record<string, unknown> } }
    return (await link.ask(asked, z.unknown())) as Answer<Name>
  }

  override async close(): Promise<void> {
    const link = await this.#link?.catch(() => null)
    await link?.close()
    await super.close()
  }

  async #open(): Promise<Link> {
    const all = await super.call('host.list', {})
    const host = all.find(({ name }) => name === this.#name)
    if (host === undefined) throw new Failure('SVS_HOST_NOT_FOUND', this.#name)
    return openLink(host, this.#tell)
  }
}
