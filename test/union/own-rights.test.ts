// What an ordinary user keeps in a sublayer obeys the mount, whatever rights its mode gives the
// owner: marks are read and written, directories move.

import t from 'tap'
import { type Seen, viewOf } from './view-of.ts'

/** The same layers, looked at by a view that knows nothing yet. */
function seenAnew(layers: { view(names: string[]): Seen }, old: Seen): Seen {
  old.view.destroy()
  return layers.view(['app'])
}

t.test('the bytes of a file that lost its rights come back with them', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/f': 'content' } }] })
  view.chmod('d/f', 0)
  const later = seenAnew(layers, view)
  later.chmod('d/f', 0o644)
  t.equal(later.read('d/f'), 'content')
})

t.test('a directory that may not be read stays emptied', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/f': 'content' } }] })
  view.unlink('d/f')
  view.rmdir('d')
  view.mkdir('d')
  view.chmod('d', 0o311)
  const later = seenAnew(layers, view)
  t.notOk(later.has('d/f'))
  later.rmdir('d')
  t.notOk(later.has('d'))
})

t.test('a file in a directory that may not be written is copied up', async (t) => {
  const { layers, view } = await viewOf(t, { layers: [{ name: 'app', ro: { 'd/e/f': 'old' } }] })
  view.chmod('d', 0o555)
  view.write('d/e/f', 'new')
  t.equal(layers.inRw('app', 'd/e/f'), 'new')
  t.equal(seenAnew(layers, view).read('d/e/f'), 'new')
})
