// svsfs host …: the machines that layers are deployed to.

import { Failure } from '../base/failure.ts'
import type { HostLine } from '../daemon/host-methods.ts'
import { type About, about } from '../deploy/messages.ts'
import { type CommandRow, option, repeated } from './command.ts'
import { exitOf, type HostResult, hostsOf, printFailed, resultOf, withLink } from './on-hosts.ts'
import { ago, size } from './words.ts'

interface AddWish {
  readonly host: string
  readonly url: string
  readonly group: string | null
  readonly options: string[]
  readonly program: string
  readonly store: string | null
}

export const add: CommandRow<AddWish, HostLine> = {
  about: `The system's ssh is the way there: its keys, its configuration, its known hosts. URL is ssh://user@machine:port; user and port may be left out, and a machine of ~/.ssh/config is named as there. On the other side svsfs must be installed; --program says how it is run, as the shell there reads it, and --store-there which store of that machine is meant.

Nothing is asked of the host by this; svsfs host check does that.`,
  options: [
    option('--group <name>', 'hosts of one group are deployed to together'),
    repeated('--option <key=value>', 'an option of ssh, like IdentityFile; as often as wanted'),
    option('--program <words>', 'what runs svsfs there').default('svsfs'),
    option('--store-there <dir>', 'its store; that of its user by default'),
  ],
  examples: [
    'svsfs host add desk1 ssh://root@desk1.example --group desks',
    'svsfs host add lab ssh://lab@10.0.0.7:2222 --option IdentityFile=~/.ssh/lab',
  ],
  parse: (words) => ({
    host: words.arg(0),
    url: words.arg(1),
    group: words.text('group'),
    options: words.list('option') ?? [],
    program: words.text('program') ?? 'svsfs',
    store: words.text('storeThere'),
  }),
  run: ({ session }, wish) => session.call('host.add', wish),
  print: ({ name }, out) => {
    out.line(`host ${name} is known`)
    out.note(`svsfs host check ${name} looks whether it can be reached`)
  },
}

export const list: CommandRow<{ group: string | null }, HostLine[]> = {
  about: 'STATE is what it was when it was last checked.',
  options: [option('--group <name>', 'only those of a group')],
  examples: ['svsfs host list', 'svsfs host list --group desks --json'],
  parse: (words) => ({ group: words.text('group') }),
  run: async ({ session }, { group }) => {
    const all = await session.call('host.list', {})
    return group === null ? all : all.filter((host) => host.group === group)
  },
  print: (hosts, out) => {
    if (hosts.length === 0) return out.note('no hosts yet; svsfs host add names one')
    out.table(
      ['HOST', 'GROUP', 'STATE', 'SEEN', 'VERSION', 'WHERE'],
      hosts.map(({ name, group, state, seen, url }) => [
        name,
        group ?? '',
        state,
        seen === null ? 'never' : ago(seen.at),
        seen?.version ?? '',
        url,
      ]),
    )
  },
}

export const remove: CommandRow<{ host: string }, HostLine> = {
  about: 'Nothing happens to the host, nor to what was deployed to it.',
  examples: ['svsfs host remove desk1'],
  parse: (words) => ({ host: words.arg(0) }),
  run: ({ session }, wish) => session.call('host.remove', wish),
  print: ({ name }, out) => out.line(`host ${name} is not known any more`),
}

export const maintenance: CommandRow<{ host: string; on: boolean }, HostLine> = {
  about:
    'A host in maintenance is left out when its group is deployed to, and refused when it is named.',
  examples: ['svsfs host maintenance desk1 on', 'svsfs host maintenance desk1 off'],
  parse: (words) => {
    const word = words.arg(1)
    if (word !== 'on' && word !== 'off')
      throw new Failure('SVS_USAGE', `maintenance is on or off, not "${word}"`)
    return { host: words.arg(0), on: word === 'on' }
  },
  run: ({ session }, wish) => session.call('host.maintenance', wish),
  print: ({ name, maintenance: on }, out) =>
    out.line(`host ${name} is ${on ? '' : 'not '}in maintenance`),
}

type Checked = HostResult<About>

export const check: CommandRow<{ hosts: string[]; group: string | null }, Checked[]> = {
  about:
    'Whether each can be reached, with which svsfs; its architecture, whether it can mount, the room on the disk of its store, its layers with the digests of their read-only parts, and the codecs that it reads. All hosts where none is named, those in maintenance too. What was found is what svsfs host list shows.',
  options: [option('--group <name>', 'those of a group')],
  examples: ['svsfs host check', 'svsfs host check desk1 --json', 'svsfs host check --group desks'],
  parse: (words) => ({ hosts: words.args(0), group: words.text('group') }),
  run: async ({ session, out, exit }, { hosts: names, group }) => {
    const free = (await session.call('host.list', {})).map((host) => ({
      ...host,
      maintenance: false,
    }))
    const all = names.length === 0 && group === null
    const { hosts } = all ? { hosts: free } : hostsOf(free, names, group)
    const { onHosts } = await import('../deploy/rounds.ts')
    const ask = (host: HostLine) =>
      withLink(
        host,
        (text) => out.progress(text),
        (link) => link.ask({ ask: 'about', params: {} }, about),
      )
    const outcomes = await onHosts(hosts, { parallel: 8, canary: 0 }, ask, ({ host, ok }) =>
      out.progress(`${host}: ${ok === true ? 'online' : 'unreachable'}`),
    )
    const results = outcomes.map(resultOf)
    for (const { host, data, error } of results) {
      const why = error?.message ?? null
      const state = error === null ? 'online' : 'unreachable'
      const [version, arch] = [data?.version ?? null, data?.arch ?? null]
      const seen = { at: Date.now(), state, version, arch, why } as const
      await session.call('host.seen', { host, seen })
    }
    exit(exitOf(results))
    return results
  },
  print: (results, out) => {
    if (results.length === 0) return out.note('no hosts yet; svsfs host add names one')
    for (const { host, data } of results) {
      if (data === null) continue
      const { version, arch, kernel, fuse, free, layers, codecs } = data
      out.line(`${host}: online, svsfs ${version}, ${arch}, Linux ${kernel}, ${size(free)} free`)
      out.line(
        `  ${fuse === null ? 'can mount' : `cannot mount: ${fuse}`}; reads ${codecs.join(', ')}`,
      )
      if (layers === null) out.line('  no store yet')
      else if (layers.length === 0) out.line('  no layers')
      for (const { name, base, active } of layers ?? [])
        out.line(`  layer ${name}, read-only part ${base.slice(0, 16)}${active ? ', active' : ''}`)
    }
    printFailed(results, out)
  },
}
