// An ordinary HTTP service on Node's own server. It has never heard of WebSocket; all it knows of Moorline
// are headers of requests, and an address to POST to when it has something to say.

import http from 'node:http';

const gone = [];

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function shout(request, room) {
  const { text } = JSON.parse(await bodyOf(request));
  // `fetch` is an HTTP client that Moorline's own tests do not use.
  const answer = await fetch(`${request.headers['moorline-callback-url']}/@groups/room-${room}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ shout: text, from: request.headers['moorline-connection-id'] }),
  });
  return [answer.status === 200 ? 204 : 502, {}, ''];
}

async function handle(request) {
  const { pathname } = new URL(request.url, 'http://app');
  const room = pathname.match(/^\/rooms\/([^/]+)\//)?.[1];
  if (pathname.endsWith('/sessions')) {
    if (request.headers.authorization !== 'Bearer good') {
      return [401, { 'www-authenticate': 'Bearer', 'content-type': 'text/plain' }, 'who are you?'];
    }
    return [200, { 'moorline-user': 'ann', 'set-cookie': 'seen=1' }, ''];
  }
  if (pathname.endsWith('/shouts')) return shout(request, room);
  if (pathname === '/echo') {
    const kind = request.headers['content-type'] ?? 'application/octet-stream';
    return [200, { 'content-type': kind }, await bodyOf(request)];
  }
  if (pathname === '/slow') {
    await new Promise((done) => setTimeout(done, 1500));
    return [200, { 'content-type': 'text/plain' }, 'at last'];
  }
  if (pathname === '/leave') return [200, { 'moorline-close': '4001 see%20you' }, ''];
  if (pathname === '/gone') return [200, { 'content-type': 'application/json' }, JSON.stringify(gone)];
  if (request.method === 'DELETE') {
    gone.push({ code: Number(request.headers['moorline-disconnect-code']), user: request.headers['moorline-user'] });
    return [204, {}, ''];
  }
  return [404, {}, ''];
}

const server = http.createServer((request, response) => {
  handle(request)
    .then(([status, headers, body]) => response.writeHead(status, headers).end(body))
    .catch((error) => response.writeHead(500).end(String(error)));
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
