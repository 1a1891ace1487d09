// Which extended attributes belong to a layer, and travel with its files.
//
// Rule: marks are never among them, so nothing that is imported can pretend to be deleted,
// hidden or elsewhere; nor are attributes that a host's policy makes by itself.

import { isMarkName } from './marks.ts'

const OF_THE_HOST = new Set([
  'security.selinux',
  'security.ima',
  'security.evm',
  'security.SMACK64',
])

/** True for an attribute that an import keeps and a digest covers. */
export function isCarried(attribute: string): boolean {
  if (isMarkName(attribute) || OF_THE_HOST.has(attribute)) return false
  return !attribute.startsWith('system.') || attribute.startsWith('system.posix_acl_')
}
