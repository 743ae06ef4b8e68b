// Node's `ws` against Moorline in front of app.mjs: `node client.mjs WS_URL APP_URL`. Exits 0 when all held.

import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import WebSocket from 'ws';

const [base, app] = process.argv.slice(2);
const signedIn = { headers: { authorization: 'Bearer good' } };

async function open(room = 'lobby', protocols = [], options = signedIn) {
  const socket = new WebSocket(`${base}/${room}`, protocols, options);
  // Before it opens: several messages may come in one piece, and none waits for a listener.
  socket.inbox = on(socket, 'message');
  await once(socket, 'open');
  return socket;
}

async function next(socket) {
  const [data, binary] = (await socket.inbox.next()).value;
  return binary ? data : data.toString();
}

const checks = {
  async 'a client that is not signed in gets the answer of the app'() {
    const socket = new WebSocket(`${base}/lobby`);
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, 401);
    assert.equal(response.headers['www-authenticate'], 'Bearer');
    const chunks = await response.toArray();
    assert.equal(Buffer.concat(chunks).toString(), 'who are you?');
  },
  async 'the handshake is accepted with cookie, subprotocol and no compression'() {
    const socket = new WebSocket(`${base}/lobby`, ['orders.v1', 'other'], signedIn);
    const [[response]] = await Promise.all([once(socket, 'upgrade'), once(socket, 'open')]);
    assert.deepEqual(response.headers['set-cookie'], ['seen=1']);
    assert.equal(socket.protocol, 'orders.v1');
    assert.equal(socket.extensions, '');
    socket.close();
    await once(socket, 'close');
  },
  async 'text, JSON and binary come back as they went'() {
    const socket = await open();
    for (const message of ['{"n": 1.50}', 'caf\u00e9 \u{1F6A2}', Buffer.from([0, 255, 13, 10])]) {
      socket.send(message);
      assert.deepEqual(await next(socket), message);
    }
    socket.terminate();
  },
  async 'large and fragmented messages arrive whole'() {
    const socket = await open();
    const big = 'x'.repeat(900_000);
    socket.send(big);
    assert.equal(await next(socket), big);
    for (let piece = 0; piece < 10; piece += 1) socket.send('piece ', { fin: piece === 9 });
    assert.equal(await next(socket), 'piece '.repeat(10));
    socket.terminate();
  },
  async 'a thousand messages are answered in order'() {
    const socket = await open();
    for (let number = 0; number < 1000; number += 1) socket.send(String(number));
    for (let number = 0; number < 1000; number += 1) assert.equal(await next(socket), String(number));
    socket.terminate();
  },
  async 'a ping is answered during a slow call'() {
    const socket = await open();
    socket.send('{"action":"slow"}');
    socket.ping('hello');
    const answer = next(socket);
    const pong = once(socket, 'pong').then(([data]) => `pong ${data}`);
    assert.equal(await Promise.race([pong, answer]), 'pong hello');
    assert.equal(await answer, 'at last');
    socket.terminate();
  },
  async 'the app pushes to a room and to nobody else'() {
    const [ann, bob, eve] = [await open('one'), await open('one'), await open('two')];
    ann.send(JSON.stringify({ action: 'shout', text: 'hi' }));
    const [toAnn, toBob] = await Promise.all([next(ann), next(bob)]);
    assert.equal(JSON.parse(toAnn).shout, 'hi');
    assert.equal(toAnn, toBob);
    eve.send('only mine');
    assert.equal(await next(eve), 'only mine');
    for (const socket of [ann, bob, eve]) socket.terminate();
  },
  async 'closing works from both sides and the app hears of it'() {
    const ours = await open('closing');
    ours.close(4321, 'bye');
    const [code] = await once(ours, 'close');
    assert.equal(code, 4321);
    const theirs = await open('closing');
    theirs.send('{"action":"leave"}');
    const [closed, reason] = await once(theirs, 'close');
    assert.deepEqual([closed, reason.toString()], [4001, 'see you']);
    const large = await open('closing');
    large.send('x'.repeat(1_048_577));
    assert.equal((await once(large, 'close'))[0], 1009);
    const seen = async () => (await (await fetch(`${app}/gone`)).json()).map((entry) => entry.code);
    for (;;) {
      const codes = await seen();
      if ([4321, 4001, 1009].every((wanted) => codes.includes(wanted))) break;
      await new Promise(setImmediate);
    }
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok ${name}`);
}
process.exit(0);
