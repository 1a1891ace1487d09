// The table of a view's nodes says what a Map of them would say.

import t from 'tap'
import type { NodeId } from '../../lib/fuse/filesystem.ts'
import { S } from '../../lib/host/sys.ts'
import { UnionNode } from '../../lib/union/node.ts'
import { NodeMap } from '../../lib/union/node-map.ts'

const nodeOf = (id: number): UnionNode => new UnionNode(id as NodeId, S.IFREG, id, null, '')

t.test('nodes are found, counted and listed by age as in a Map, whatever goes', (t) => {
  const nodes = new NodeMap()
  const model = new Map<NodeId, UnionNode>()
  // Also where a number has more than 32 bits.
  for (const first of [1, 1000, 2 ** 31 - 100, 2 ** 40]) {
    for (let id = first; id < first + 300; id++) {
      const node = nodeOf(id)
      nodes.set(node.id, node)
      model.set(node.id, node)
    }
  }
  for (const id of [...model.keys()]) {
    if (id % 3 === 0 || (id >= 1100 && id < 1250)) {
      nodes.delete(id)
      nodes.delete(id)
      model.delete(id)
    }
  }
  t.equal(nodes.size, model.size)
  t.ok([...nodes.values()].every((node, at) => node === [...model.values()][at]))
  for (const id of [0, 1, 3, 1200, 1299, 2 ** 31, 2 ** 40 + 7, 2 ** 52, -1]) {
    t.equal(nodes.get(id as NodeId), model.get(id as NodeId), `node ${id}`)
  }
  nodes.clear()
  t.equal(nodes.size, 0)
  t.equal([...nodes.values()].length, 0)
  t.end()
})

t.test('who lists nodes while some go and others come lists each once', (t) => {
  const nodes = new NodeMap()
  for (let id = 1; id <= 200; id++) nodes.set(id as NodeId, nodeOf(id))
  const seen: number[] = []
  for (const { id } of nodes.values()) {
    seen.push(id)
    nodes.delete(id)
    nodes.delete((id + 1) as NodeId)
    if (id < 10) nodes.set((300 + id) as NodeId, nodeOf(300 + id))
  }
  t.equal(new Set(seen).size, seen.length)
  t.equal(nodes.size, 0)
  t.end()
})
