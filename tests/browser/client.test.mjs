// The browser client against a socket that says what a test makes it say.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Antiphon } from '../../crates/antiphon-server/demo/antiphon.js';

const position = (offset) => `0000000000000001-${offset}-0000000000000002`;
const entry = (offset) => ({ type: 'MESSAGE', text: `${offset}`, position: position(offset), offset, entry: { topic: 'news' } });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Every socket that was opened, in order; each keeps what was said to it. */
function sockets() {
  const opened = [];
  class FakeSocket {
    constructor(url) {
      Object.assign(this, { url, said: [], closed: false });
      opened.push(this);
    }
    send(text) {
      this.said.push(JSON.parse(text));
    }
    close() {
      this.closed = true;
    }
    hear(frame) {
      this.onmessage({ data: JSON.stringify(frame) });
    }
    greet() {
      this.onopen();
      this.hear({ type: 'PONG', ref: '0' });
    }
    last(type) {
      return this.said.findLast((frame) => frame.type === type);
    }
    begin(offset = 0) {
      const { ref, topics } = this.last('SUBSCRIBE');
      const begun = Object.fromEntries(topics.map((topic) => [topic, { position: position(offset), recovered: true }]));
      this.hear({ type: 'SUBSCRIPTION_SUCCESSFUL', ref, text: 'acme', userId: 'ann', topics: begun });
    }
  }
  return { opened, FakeSocket };
}

/** A client that has subscribed to `news`; timers stand still but when `tick` moves them. */
async function subscribed(t, options = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { opened, FakeSocket } = sockets();
  const client = new Antiphon({ urls: ['ws://a', 'ws://b'], token: 't', random: () => 1, WebSocket: FakeSocket, ...options });
  const got = [];
  for (const type of ['message', 'reset', 'terminated']) client.addEventListener(type, ({ detail }) => got.push(detail));
  client.connect();
  await turn();
  opened[0].greet();
  const begun = client.subscribe('news');
  opened[0].begin();
  await begun;
  const tick = async (ms) => {
    t.mock.timers.tick(ms);
    await turn();
  };
  return { client, opened, got, tick };
}

test('a topic goes on from its last position, at the next node', async (t) => {
  const { opened, tick } = await subscribed(t);
  opened[0].hear(entry(1));
  opened[0].hear({ type: 'POSITION', topic: 'news', position: position(7), offset: 7 });
  opened[0].onclose({ code: 1006 });
  await tick(250);
  assert.deepEqual(opened.map((socket) => socket.url), ['ws://a', 'ws://b']);
  opened[1].greet();
  assert.deepEqual(opened[1].said[0], { type: 'PING', ref: '0', token: 't' });
  assert.deepEqual(opened[1].last('SUBSCRIBE').positions, { news: position(7) });
});

test('what was seen before is not given again, and after a reset lower offsets are new', async (t) => {
  const { opened, got } = await subscribed(t);
  for (const offset of [1, 2, 2, 1, 5]) opened[0].hear(entry(offset));
  opened[0].hear({ type: 'RESET', topic: 'news', reason: 'EPOCH', position: position(2) });
  opened[0].hear(entry(3));
  assert.deepEqual(got.map((frame) => frame.offset ?? frame.reason), [1, 2, 5, 'EPOCH', 3]);
});

test('a publish without an answer is said again with the same key', async (t) => {
  const { client, opened, tick } = await subscribed(t);
  const accepted = client.publish({ topic: 'news', text: 'hi' });
  opened[0].onclose({ code: 1006 });
  await tick(250);
  opened[1].greet();
  assert.equal(opened[1].last('MESSAGE').key, opened[0].last('MESSAGE').key);
  opened[1].hear({ type: 'ACCEPTED', ref: opened[1].last('MESSAGE').ref, offset: 3, duplicate: true });
  assert.equal((await accepted).offset, 3);
});

test('a refusal for now is tried again, and one for good is told', async (t) => {
  const { client, opened, tick } = await subscribed(t);
  const refused = assert.rejects(client.publish({ text: 'x' }), { code: 'CONFLICT' });
  const { ref } = opened[0].last('MESSAGE');
  opened[0].hear({ type: 'ERROR', ref, code: 'UNAVAILABLE', text: 'later', retryAfterMs: 100 });
  assert.equal(opened[0].said.filter((frame) => frame.type === 'MESSAGE').length, 1);
  await tick(100);
  assert.equal(opened[0].said.filter((frame) => frame.type === 'MESSAGE').length, 2);
  opened[0].hear({ type: 'ERROR', ref, code: 'CONFLICT', text: 'no' });
  await refused;
});

test('the delay is drawn from a bound that doubles up to its cap', async (t) => {
  const { client, opened, tick } = await subscribed(t, { capMs: 1000 });
  const delays = [];
  client.addEventListener('state', ({ detail }) => detail.state === 'waiting' && delays.push(detail.delayMs));
  for (const expected of [250, 500, 1000, 1000]) {
    opened.at(-1).onclose({ code: 1006 });
    await tick(expected);
  }
  assert.deepEqual(delays, [250, 500, 1000, 1000]);
  const { client: drawn, opened: sockets } = await subscribedAgain({ random: () => 0.1 });
  drawn.addEventListener('state', ({ detail }) => assert.equal(detail.delayMs, 25));
  sockets[0].onclose({ code: 1006 });
});

async function subscribedAgain(options) {
  const { opened, FakeSocket } = sockets();
  const client = new Antiphon({ urls: ['ws://a'], token: 't', WebSocket: FakeSocket, ...options }).connect();
  await turn();
  return { client, opened };
}

test("a node's own time to come back wins over the drawn one", async (t) => {
  const { opened, tick } = await subscribed(t);
  opened[0].hear({ type: 'RECONNECT', afterMs: 40 });
  await tick(39);
  assert.equal(opened.length, 1);
  await tick(1);
  await tick(0);
  assert.equal(opened.length, 2);
  assert.ok(opened[0].closed);
  opened[1].greet();
  opened[1].hear({ type: 'RECONNECT', afterMs: 900 });
  opened[1].onclose({ code: 1012 });
  await tick(899);
  assert.equal(opened.length, 2);
  await tick(1);
  assert.equal(opened.length, 3);
});

test('4401 is final, but for an expired token with a fresh one at hand', async (t) => {
  const { client, opened, got, tick } = await subscribed(t);
  const failed = assert.rejects(client.publish({ text: 'x' }), { code: 'TOKEN_REVOKED' });
  opened[0].hear({ type: 'TERMINATE_CONNECTION', text: 'TOKEN_REVOKED' });
  await failed;
  await tick(100_000);
  assert.deepEqual([opened.length, client.state, got.at(-1).reason], [1, 'ended', 'TOKEN_REVOKED']);
});

test('an expired token is replaced by a fresh one, and the same one again is final', async (t) => {
  const tokens = ['one', 'two', 'two'];
  const { client, opened, tick } = await subscribed(t, { token: async () => tokens.shift() });
  opened[0].hear({ type: 'TERMINATE_CONNECTION', text: 'TOKEN_EXPIRED' });
  await tick(250);
  opened[1].greet();
  assert.equal(opened[1].said[0].token, 'two');
  opened[1].hear({ type: 'TERMINATE_CONNECTION', text: 'TOKEN_EXPIRED' });
  await tick(500);
  assert.deepEqual([opened.length, client.state], [2, 'ended']);
});

test('a connection that no longer answers is left', async (t) => {
  const { opened, tick } = await subscribed(t);
  await tick(15_000);
  assert.equal(opened[0].last('PING').ref, 'alive');
  await tick(10_000);
  assert.ok(opened[0].closed);
  await tick(250);
  assert.equal(opened.length, 2);
});
