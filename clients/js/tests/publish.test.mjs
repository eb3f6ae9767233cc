// Publishes and questions: their keys, their order, what is said again, and what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, position, turn } from './support/fake.mjs';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const back = async ({ opened, tick }) => {
  opened.at(-1).drop();
  await tick(30_000);
  opened.at(-1).greet();
  return opened.at(-1);
};

test('a publish without an answer is said again with the same key', async (t) => {
  const ground = await connected(t);
  const accepted = ground.client.publish({ topic: 'news', text: 'hi' });
  await turn();
  const { key } = ground.opened[0].last('MESSAGE');
  assert.match(key, UUID);
  const socket = await back(ground);
  assert.equal(socket.last('MESSAGE').key, key);
  socket.accept(3, socket.last('MESSAGE'), { duplicate: true });
  assert.deepEqual(await accepted, { id: 'id-3', position: position(3), offset: 3, duplicate: true });
});

test('what is published offline is sent in order within its topic, one after the other', async (t) => {
  const ground = await connected(t);
  ground.opened[0].drop();
  const published = [['news', 1], ['news', 2], ['weather', 3]].map(([topic, n]) => ground.client.publish({ topic, body: n }));
  await ground.tick(250);
  const [, socket] = ground.opened;
  socket.greet();
  const said = () => socket.all('MESSAGE').map(({ body }) => body);
  assert.deepEqual(said(), [1, 3]);
  socket.accept(1, socket.all('MESSAGE')[0]);
  assert.deepEqual(said(), [1, 3, 2]);
  socket.accept(2, socket.all('MESSAGE')[2]);
  socket.accept(1, socket.all('MESSAGE')[1]);
  assert.deepEqual((await Promise.all(published)).map(({ offset }) => offset), [1, 2, 1]);
});

test('a refusal for now is tried again before what is behind it, and one for good is told', async (t) => {
  const { client, opened, tick } = await connected(t);
  const refused = assert.rejects(client.publish({ topic: 'news', text: '1', key: 'k' }), { code: 'CONFLICT', key: 'k' });
  const second = client.publish({ topic: 'news', text: '2' });
  const other = client.publish({ topic: 'weather', text: '3' });
  await turn();
  const said = () => opened[0].all('MESSAGE').map(({ text }) => text);
  const { ref } = opened[0].all('MESSAGE')[0];
  opened[0].hear({ type: 'ERROR', ref, code: 'UNAVAILABLE', text: 'later', retryAfterMs: 100 });
  opened[0].accept(1, opened[0].all('MESSAGE')[1]);
  assert.equal((await other).offset, 1);
  assert.deepEqual(said(), ['1', '3']);
  await tick(100);
  assert.deepEqual(said(), ['1', '3', '1']);
  opened[0].hear({ type: 'ERROR', ref: opened[0].last('MESSAGE').ref, code: 'CONFLICT', text: 'no' });
  await refused;
  opened[0].accept(2);
  assert.equal((await second).offset, 2);
});

test("at the connection's rate every topic rests", async (t) => {
  const { client, opened, tick } = await connected(t);
  const all = ['a', 'a', 'b'].map((topic) => client.publish({ topic, text: topic }));
  await turn();
  const [a, b] = opened[0].all('MESSAGE');
  opened[0].hear({ type: 'ERROR', ref: a.ref, code: 'RATE_LIMITED', text: 'slower', retryAfterMs: 100 });
  opened[0].accept(1, b);
  all.push(client.publish({ topic: 'c', text: 'c' }));
  await tick(99);
  assert.equal(opened[0].all('MESSAGE').length, 2);
  await tick(1);
  assert.deepEqual(opened[0].all('MESSAGE').slice(2).map(({ topic }) => topic), ['a', 'c']);
  opened[0].accept(1, opened[0].all('MESSAGE')[2]);
  opened[0].accept(1, opened[0].all('MESSAGE')[3]);
  opened[0].accept(2);
  await Promise.all(all);
});

test('a wider window says more at once, and keeps its order over a reconnect', async (t) => {
  const ground = await connected(t, { publishWindow: 3 });
  const published = [1, 2, 3, 4].map((n) => ground.client.publish({ topic: 'news', body: n }));
  await turn();
  ground.opened[0].accept(1, ground.opened[0].all('MESSAGE')[0]);
  assert.deepEqual(ground.opened[0].all('MESSAGE').map(({ body }) => body), [1, 2, 3, 4]);
  const socket = await back(ground);
  assert.deepEqual(socket.all('MESSAGE').map(({ body }) => body), [2, 3, 4]);
  socket.all('MESSAGE').forEach((frame, at) => socket.accept(at + 2, frame));
  await Promise.all(published);
});

test('a wider window keeps its order while two connections overlap', async (t) => {
  const { client, opened, tick } = await connected(t, { publishWindow: 3 });
  const published = [1, 2].map((n) => client.publish({ topic: 'news', body: n }));
  await turn();
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  published.push(client.publish({ topic: 'news', body: 3 }));
  await turn();
  assert.equal(opened[1].last('MESSAGE'), undefined);
  opened[0].accept(1, opened[0].all('MESSAGE')[0]);
  opened[0].drop();
  assert.deepEqual(opened[1].all('MESSAGE').map(({ body }) => body), [2, 3]);
  opened[1].all('MESSAGE').forEach((frame, at) => opened[1].accept(at + 2, frame));
  await Promise.all(published);
});

test('the queue has a bound, in number and in bytes', async (t) => {
  const { client, opened } = await connected(t, { publishQueueMax: 2, publishQueueBytesMax: 2000 });
  const published = [client.publish({ text: 'x'.repeat(1000) })];
  await assert.rejects(client.publish({ text: 'x'.repeat(1000) }), { code: 'QUEUE_FULL' });
  published.push(client.publish({ text: 'x' }));
  await assert.rejects(client.publish({ text: 'x', key: 'k' }), { code: 'QUEUE_FULL', key: 'k' });
  await turn();
  opened[0].accept(1);
  opened[0].accept(2);
  await Promise.all(published);
  client.publish({ text: 'room again' }).catch(() => {});
});

test('a publish that waits too long is told, with its key, and what is behind it goes on', async (t) => {
  const { client, opened, tick } = await connected(t, { publishTimeoutMs: 5000 });
  const late = assert.rejects(client.publish({ topic: 'news', text: '1', key: 'k' }), { code: 'TIMEOUT', key: 'k' });
  await tick(4000);
  const second = client.publish({ topic: 'news', text: '2' });
  await tick(1000);
  await late;
  assert.equal(opened[0].last('MESSAGE').text, '2');
  opened[0].accept(2);
  await second;
});

test('an object that is changed after the call is published as it was', async (t) => {
  const ground = await connected(t);
  ground.opened[0].drop();
  const body = { n: 1 };
  ground.client.publish({ body }).catch(() => {});
  body.n = 2;
  await ground.tick(250);
  ground.opened[1].greet();
  assert.deepEqual(ground.opened[1].last('MESSAGE').body, { n: 1 });
});

test('a page without a secure context has keys too', async (t) => {
  const { client, opened } = await connected(t);
  t.mock.method(crypto, 'randomUUID');
  const real = Object.getOwnPropertyDescriptor(crypto, 'randomUUID');
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true });
  t.after(() => Object.defineProperty(crypto, 'randomUUID', real));
  client.publish({ text: 'x' }).catch(() => {});
  await turn();
  assert.match(opened[0].last('MESSAGE').key, UUID);
});

test('a close rejects what waits', async (t) => {
  const { client } = await connected(t);
  const all = [client.publish({ text: 'x' }), client.history(), client.presence(), client.subscribe('a', () => {})];
  client.close();
  for (const outcome of await Promise.allSettled(all)) assert.equal(outcome.reason?.code, 'CLOSED');
  await assert.rejects(client.publish({ text: 'x' }), { code: 'CLOSED' });
});

test('questions are asked again after a reconnect and a refusal for now, until their time is over', async (t) => {
  const ground = await connected(t, { askTimeoutMs: 60_000, asksMax: 2 });
  const past = ground.client.history({ topic: 'news', limit: 2 });
  const late = assert.rejects(ground.client.presence('news'), { code: 'TIMEOUT' });
  await assert.rejects(ground.client.presence('news'), { code: 'QUEUE_FULL' });
  const socket = await back(ground);
  const { ref } = socket.last('HISTORY');
  socket.hear({ type: 'ERROR', ref, code: 'UNAVAILABLE', text: 'later', retryAfterMs: 100 });
  await ground.tick(100);
  const asked = socket.last('HISTORY');
  assert.deepEqual(asked, { type: 'HISTORY', topic: 'news', limit: 2, ref: asked.ref });
  socket.hear({ type: 'HISTORY', ref: asked.ref, topic: 'news', entries: [], more: false });
  assert.deepEqual(await past, { topic: 'news', entries: [], more: false });
  for (let i = 0; i < 3; i += 1) {
    await ground.tick(10_000);
    socket.hear({ type: 'PONG' });
  }
  await late;
});

test('a signal is sent now or not at all', async (t) => {
  const { client, opened } = await connected(t);
  assert.equal(client.signal({ topic: 'news', body: { typing: true } }), true);
  assert.deepEqual(opened[0].last('SIGNAL'), { type: 'SIGNAL', topic: 'news', body: { typing: true } });
  opened[0].bufferedAmount = 2 ** 21;
  assert.equal(client.signal({ text: 'x' }), false);
  opened[0].drop();
  assert.equal(client.signal({ text: 'x' }), false);
});

test('the refusal of a signal is told to onError, since nobody waits for it', async (t) => {
  const { client, opened, errors } = await connected(t);
  client.signal({ topic: 'secret', text: 'x' });
  opened[0].hear({ type: 'ERROR', topic: 'secret', code: 'FORBIDDEN', text: 'no' });
  assert.deepEqual(errors.map(({ code, topic }) => [code, topic]), [['FORBIDDEN', 'secret']]);
});

test('bad drafts and pages are said clearly', async (t) => {
  const { client } = await connected(t);
  const circle = {};
  circle.circle = circle;
  for (const [draft, code, said] of [
    [undefined, 'INVALID', /draft: not an object/],
    [{}, 'INVALID', /either text or body/],
    [{ text: 'x', body: 1 }, 'INVALID', /either text or body/],
    [{ text: 5 }, 'INVALID', /text is not a string/],
    [{ body: circle }, 'INVALID', /body is not JSON/],
    [{ body: () => {} }, 'INVALID', /body is not JSON/],
    [{ text: 'x', topic: 'a b' }, 'INVALID', /topic: "a b"/],
    [{ text: 'x', projectId: 7 }, 'INVALID', /projectId: 7/],
    [{ text: 'x', key: '' }, 'INVALID', /key: "" is not/],
    [{ text: 'x', key: 'a\nb' }, 'INVALID', /key: /],
    [{ text: 'x', project: 'p' }, 'INVALID', /draft: "project" is not known/],
    [{ text: 'x'.repeat(65_536) }, 'TOO_LARGE', /a frame may have at most 65536 bytes/],
  ]) {
    await assert.rejects(client.publish(draft), (error) => {
      assert.equal(error.code, code, error);
      assert.match(error.message, said);
      return true;
    });
  }
  assert.throws(() => client.signal({ text: 'x'.repeat(5000) }), { code: 'TOO_LARGE' });
  for (const page of [{ limit: 0 }, { before: 'a', after: 'b' }, { before: 5 }, { topic: '' }, { from: 'x' }, null]) {
    await assert.rejects(client.history(page), { code: 'INVALID' });
  }
  await assert.rejects(client.presence('a b'), { code: 'INVALID' });
});
