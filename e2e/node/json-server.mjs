// Node's `ws` against Moorline in front of json-server: `node json-server.mjs WS_URL`. Exits 0 when all held.

import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import WebSocket from 'ws';

const [url] = process.argv.slice(2);

async function open() {
  const socket = new WebSocket(url);
  // Before it opens: several messages may come in one piece, and none waits for a listener.
  socket.inbox = on(socket, 'message');
  await once(socket, 'open');
  return socket;
}

async function next(socket) {
  const [data] = (await socket.inbox.next()).value;
  return JSON.parse(data.toString());
}

async function ask(socket, message) {
  socket.send(JSON.stringify(message));
  return next(socket);
}

const [editor, reader] = [await open(), await open()];

assert.deepEqual(await ask(editor, { action: 'get', id: 1, requestId: 'a' }), {
  id: 'a',
  status: 200,
  body: { id: 1, title: 'A mooring line', likes: 3 },
});
assert.equal((await ask(editor, { action: 'get', id: 99, requestId: 'b' })).status, 404);
const page = await ask(editor, { action: 'list', limit: 1, page: 2 });
assert.deepEqual(page.body.map((post) => post.id), [2]);
console.log('ok reads');

async function both(message) {
  const heard = next(reader);
  const answered = await ask(editor, message);
  assert.deepEqual(await heard, answered);
  return answered;
}

const { created } = await both({ action: 'create', item: { title: 'And goes about its work', likes: 0 } });
assert.equal(created.title, 'And goes about its work');
const { changed } = await both({ action: 'change', id: created.id, changes: { likes: 1 } });
assert.deepEqual(changed, { ...created, likes: 1 });
assert.deepEqual(await both({ action: 'delete', id: created.id }), { deleted: created.id });
assert.equal((await ask(editor, { action: 'get', id: created.id })).status, 404);
console.log('ok writes, heard by everyone on the collection');

const escape = await ask(editor, { action: 'get', id: '../comments' });
assert.equal(escape.status, 400);
console.log('ok no way out of the collection');
process.exit(0);
