// Topics: where they go on from, what is left out, what is kept, and what becomes of handlers that are slow or throw.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connected, entry, position, subscribed, turn } from './support/fake.mjs';

const reset = (reason, offset) => ({ type: 'RESET', topic: 'news', reason, position: position(offset) });
const back = async ({ opened, tick }) => {
  opened.at(-1).drop();
  await tick(250);
  opened.at(-1).greet();
  return opened.at(-1);
};

test('a topic goes on from its last position', async (t) => {
  const ground = await subscribed(t);
  ground.opened[0].hear(entry(1));
  ground.opened[0].hear({ type: 'POSITION', topic: 'news', position: position(7), offset: 7 });
  const socket = await back(ground);
  assert.deepEqual(socket.said[0], { type: 'PING', ref: '0', token: 't' });
  assert.deepEqual(socket.last('SUBSCRIBE').positions, { news: position(7) });
  assert.deepEqual(ground.log, ['message', 'position']);
});

test('what was seen before is not given again, and after a reset lower offsets are new', async (t) => {
  const { opened, got } = await subscribed(t);
  for (const offset of [1, 2, 2, 1, 5]) opened[0].hear(entry(offset));
  opened[0].hear(reset('EPOCH', 2));
  opened[0].hear(entry(3));
  assert.deepEqual(got.map(({ offset, reason }) => offset ?? reason), [1, 2, 5, 'EPOCH', 3]);
});

test('nothing is heard of a topic before the new connection has answered for it', async (t) => {
  const ground = await subscribed(t);
  const socket = await back(ground);
  socket.hear(entry(1));
  assert.equal(ground.got.length, 0);
  socket.begin();
  socket.hear(entry(1));
  assert.equal(ground.got.length, 1);
});

test('a position is handled once its handler has returned, and is what another subscription goes on from', async (t) => {
  let go;
  const gate = () => new Promise((resolve) => (go = resolve));
  const { opened, subscription } = await subscribed(t, { handlers: { message: gate } });
  assert.equal(subscription.position('news'), position(0));
  opened[0].hear(entry(1));
  opened[0].hear(entry(2));
  await turn();
  assert.equal(subscription.position('news'), position(0));
  go();
  await turn();
  assert.equal(subscription.position('news'), position(1));
});

test('what waits for a slow handler is not asked for again after a reconnect', async (t) => {
  let go;
  const got = [];
  const message = ({ offset }) => new Promise((resolve) => (go = () => resolve(got.push(offset))));
  const ground = await subscribed(t, { handlers: { message } });
  for (const offset of [1, 2]) ground.opened[0].hear(entry(offset));
  const socket = await back(ground);
  assert.deepEqual(socket.last('SUBSCRIBE').positions, { news: position(2) });
  socket.begin();
  for (const offset of [2, 3]) socket.hear(entry(offset));
  for (let i = 0; i < 3; i += 1) {
    go();
    await turn();
  }
  assert.deepEqual(got, [1, 2, 3]);
});

test('positions are kept after the handler, one at a time, and a topic begins from the kept one', async (t) => {
  const kept = [];
  let stored;
  const positions = {
    get: async (topic) => (topic === 'news' ? position(3) : null),
    set: (topic, at) => {
      kept.push([topic, at]);
      return new Promise((resolve) => (stored = resolve));
    },
  };
  const { opened } = await subscribed(t, { positions, begin: { offset: 3 } });
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(3) });
  for (const offset of [4, 5, 6]) opened[0].hear(entry(offset));
  await turn();
  assert.deepEqual(kept, [['news', position(4)]]);
  stored();
  await turn();
  assert.deepEqual(kept.slice(1), [['news', position(6)]]);
  stored();
  opened[0].hear(reset('RETENTION', 9));
  await turn();
  assert.deepEqual(kept.slice(2), [['news', position(9)]]);
});

test('a new topic without a kept position keeps its first one at once', async (t) => {
  const kept = [];
  const positions = { get: () => undefined, set: (...all) => kept.push(all) };
  await subscribed(t, { positions, begin: { offset: 8 } });
  assert.deepEqual(kept, [['news', position(8)]]);
});

test('a position store that can not be read is an error, not a beginning at the head', async (t) => {
  const positions = { get: () => Promise.reject(new Error('disk')), set: () => {} };
  const { client, opened, errors } = await connected(t, { positions });
  await assert.rejects(client.subscribe('news', () => {}), { code: 'INVALID', topic: 'news' });
  assert.equal(opened[0].last('SUBSCRIBE'), undefined);
  assert.equal(errors[0].message, 'disk');
});

test('a handler that throws ends its topic before the entry', async (t) => {
  const failed = [];
  const message = ({ offset }) => {
    if (offset === 2) throw new Error('broken');
  };
  const { opened, client } = await subscribed(t, { handlers: { message, failed: (one) => failed.push(one) } });
  for (const offset of [1, 2, 3]) opened[0].hear(entry(offset));
  await turn();
  assert.deepEqual(failed.map(({ topic, error, position: at }) => [topic, error.message, at]), [['news', 'broken', position(1)]]);
  opened[0].end();
  const again = client.subscribe('news', () => {}, { from: { news: failed[0].position } });
  await turn();
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(1) });
  opened[0].begin();
  await again;
});

test('a topic whose inbox is full rests, and goes on once there is room', async (t) => {
  const gates = [];
  const got = [];
  const message = ({ offset }) => {
    got.push(offset);
    return new Promise((resolve) => gates.push(resolve));
  };
  const { opened } = await subscribed(t, { handlers: { message }, inboxMax: 2 });
  for (const offset of [1, 2, 3, 4, 5]) opened[0].hear(entry(offset));
  assert.equal(opened[0].all('UNSUBSCRIBE').length, 1);
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  gates.shift()();
  await turn();
  gates.shift()();
  await turn();
  opened[0].end();
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(3) });
  opened[0].begin();
  for (const offset of [4, 5]) opened[0].hear(entry(offset));
  while (gates.length) {
    gates.shift()();
    await turn();
  }
  assert.deepEqual(got, [1, 2, 3, 4, 5]);
});

test('a topic whose inbox is full is not asked for again before the node has ended it, however often it refuses to', async (t) => {
  const gates = [];
  const got = [];
  const message = ({ offset }) => {
    got.push(offset);
    return new Promise((resolve) => gates.push(resolve));
  };
  const { opened, tick } = await subscribed(t, { handlers: { message }, inboxMax: 1 });
  const refuse = (after) => {
    const { ref } = opened[0].last('UNSUBSCRIBE');
    opened[0].hear({ type: 'ERROR', ref, code: 'RATE_LIMITED', text: 'slower', retryAfterMs: after });
  };
  for (const offset of [1, 2, 3]) opened[0].hear(entry(offset));
  refuse(700);
  while (gates.length) {
    gates.shift()();
    await turn();
  }
  // The node goes on with it: asked for now, it would go on from here, and the third would be passed over.
  opened[0].hear(entry(4));
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  await tick(699);
  assert.equal(opened[0].all('UNSUBSCRIBE').length, 1);
  await tick(1);
  refuse(50);
  await tick(50);
  assert.equal(opened[0].all('UNSUBSCRIBE').length, 3);
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  opened[0].end();
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(2) });
  opened[0].begin();
  for (const offset of [3, 4]) {
    opened[0].hear(entry(offset));
    gates.shift()();
    await turn();
  }
  assert.deepEqual(got, [1, 2, 3, 4]);
});

test('a node that will not end a topic is left, and the topic goes on from what was taken', async (t) => {
  const gates = [];
  const message = () => new Promise((resolve) => gates.push(resolve));
  const { opened, tick } = await subscribed(t, { handlers: { message }, inboxMax: 1 });
  for (const offset of [1, 2, 3]) opened[0].hear(entry(offset));
  const { ref } = opened[0].last('UNSUBSCRIBE');
  opened[0].hear({ type: 'ERROR', ref, code: 'INVALID', text: 'what?' });
  assert.equal(opened[0].closed, true);
  while (gates.length) {
    gates.shift()();
    await turn();
  }
  await tick(250);
  opened[1].greet();
  assert.deepEqual(opened[1].last('SUBSCRIBE').positions, { news: position(2) });
});

test('a topic that begins again waits for the end of the one before', async (t) => {
  const { client, opened, subscription, tick } = await subscribed(t);
  opened[0].hear(entry(1));
  let closed = false;
  subscription.close().then(() => (closed = true));
  const got = [];
  const again = client.subscribe('news', (message) => got.push(message.offset), { from: { news: position(1) } });
  await turn();
  const { ref } = opened[0].last('UNSUBSCRIBE');
  opened[0].hear({ type: 'ERROR', ref, code: 'RATE_LIMITED', text: 'slower', retryAfterMs: 10 });
  opened[0].hear(entry(2));
  await tick(10);
  assert.deepEqual([closed, opened[0].all('SUBSCRIBE').length], [false, 1]);
  opened[0].end();
  await turn();
  assert.deepEqual([closed, opened[0].last('SUBSCRIBE').positions], [true, { news: position(1) }]);
  opened[0].begin({ offset: 1 });
  await again;
  opened[0].hear(entry(2));
  assert.deepEqual(got, [2]);
});

test('an inbox is full by its bytes too, and always takes one', async (t) => {
  const gates = [];
  const message = () => new Promise((resolve) => gates.push(resolve));
  const { opened } = await subscribed(t, { handlers: { message }, inboxBytesMax: 1000 });
  const large = (offset) => ({ ...entry(offset), text: 'x'.repeat(600) });
  for (const offset of [1, 2]) opened[0].hear(large(offset));
  assert.equal(opened[0].last('UNSUBSCRIBE'), undefined);
  opened[0].hear(large(3));
  opened[0].end();
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  while (gates.length) {
    gates.shift()();
    await turn();
  }
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(2) });
});

test('resets that nobody has dealt with are one, however full the inbox is', async (t) => {
  const gates = [];
  const message = () => new Promise((resolve) => gates.push(resolve));
  const { opened, got } = await subscribed(t, { handlers: { message }, inboxMax: 1 });
  for (const offset of [5, 6]) opened[0].hear(entry(offset));
  for (const offset of [1, 2, 3]) opened[0].hear(reset('FORK', offset));
  while (gates.length) {
    gates.shift()();
    await turn();
  }
  assert.deepEqual(got, [reset('FORK', 3)].map(({ type: _, ...rest }) => rest));
});

test('topics that are refused for the rate are asked for again after the time that the server said', async (t) => {
  const { client, opened, tick } = await connected(t);
  const begun = client.subscribe(['a', 'b'], () => {});
  await turn();
  const { ref } = opened[0].last('SUBSCRIBE');
  opened[0].hear({ type: 'ERROR', ref, code: 'RATE_LIMITED', text: 'slower', retryAfterMs: 300 });
  await tick(299);
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  await tick(1);
  for (const ask of opened[0].all('SUBSCRIBE').slice(1)) opened[0].begin({ ask });
  assert.equal((await begun).topics.size, 2);
});

test('a topic that rests while its line is left ends on both lines', async (t) => {
  const message = () => new Promise(() => {});
  const { opened, tick } = await subscribed(t, { handlers: { message }, inboxMax: 1 });
  opened[0].hear(entry(1));
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  opened[0].hear(entry(2));
  opened[0].hear(entry(3));
  assert.deepEqual(opened.map((socket) => socket.all('UNSUBSCRIBE').length), [1, 1]);
});

test('a refusal for now is asked again, on the way in and on the way back', async (t) => {
  const { client, opened, tick } = await connected(t);
  const begun = client.subscribe('news', () => {});
  await turn();
  const busy = (ref) => ({ type: 'ERROR', ref, topic: 'news', code: 'UNAVAILABLE', text: 'later', retryAfterMs: 500 });
  opened[0].hear(busy(opened[0].last('SUBSCRIBE').ref));
  await tick(500);
  opened[0].begin();
  await begun;
  opened[0].drop();
  await tick(250);
  opened[1].greet();
  opened[1].hear(busy(opened[1].last('SUBSCRIBE').ref));
  await tick(500);
  assert.deepEqual(opened[1].last('SUBSCRIBE').positions, { news: position(0) });
});

test('a refusal for good on the way back ends the topic, and the application is told', async (t) => {
  const ground = await subscribed(t);
  const socket = await back(ground);
  socket.hear({ type: 'ERROR', ref: socket.last('SUBSCRIBE').ref, topic: 'news', code: 'FORBIDDEN', text: 'no' });
  assert.deepEqual(ground.got, [{ topic: 'news', reason: 'FORBIDDEN' }]);
});

test('when all topics of a frame are refused each is asked for alone, since the code is of one of them', async (t) => {
  const { client, opened } = await connected(t);
  const begun = client.subscribe(['gone', 'busy'], () => {});
  await turn();
  opened[0].hear({ type: 'ERROR', ref: opened[0].last('SUBSCRIBE').ref, topic: 'gone', code: 'FORBIDDEN', text: 'no' });
  const [first, second] = opened[0].all('SUBSCRIBE').slice(1);
  assert.deepEqual([first.topics, second.topics], [['gone'], ['busy']]);
  opened[0].hear({ type: 'ERROR', ref: first.ref, topic: 'gone', code: 'FORBIDDEN', text: 'no' });
  opened[0].begin({ ask: second });
  const { topics } = await begun;
  assert.deepEqual([topics.get('gone').code, topics.get('busy').recovered], ['FORBIDDEN', true]);
});

test('a subscribe that is asked for offline, or whose answer is lost, is asked again', async (t) => {
  const ground = await connected(t);
  ground.opened[0].drop();
  const begun = ground.client.subscribe('news', () => {});
  await ground.tick(250);
  ground.opened[1].greet();
  assert.deepEqual(ground.opened[1].last('SUBSCRIBE').topics, ['news']);
  ground.opened[1].drop();
  await ground.tick(500);
  ground.opened[2].greet();
  ground.opened[2].begin();
  assert.equal((await begun).tenant, 'acme');
});

test('a subscription that is aborted before its answer ends, and its topic is free', async (t) => {
  const { client, opened } = await connected(t);
  const end = new AbortController();
  const begun = assert.rejects(client.subscribe('news', () => {}, { signal: end.signal }), { code: 'CLOSED' });
  await turn();
  end.abort();
  await begun;
  assert.deepEqual(opened[0].last('UNSUBSCRIBE').topics, ['news']);
  const got = [];
  const again = client.subscribe('news', (message) => got.push(message));
  await turn();
  const [first] = opened[0].all('SUBSCRIBE');
  opened[0].begin({ ask: first });
  opened[0].hear(entry(1));
  opened[0].end();
  const [, second] = opened[0].all('SUBSCRIBE');
  opened[0].begin({ ask: second });
  opened[0].hear(entry(2));
  await again;
  assert.deepEqual(got.map(({ offset }) => offset), [2]);
});

test("what another program wrote on the tenant's own topic comes as it is", async (t) => {
  const { client, opened } = await connected(t);
  const plain = [];
  const begun = client.subscribe(null, { plain: (text) => plain.push(text) });
  await turn();
  opened[0].hear({ type: 'PRESENCE', ref: opened[0].last('PRESENCE').ref, topic: 'acme', users: [] });
  await turn();
  opened[0].begin();
  await begun;
  opened[0].hear({ type: 'MESSAGE', text: 'no position' });
  opened[0].hear({ hello: 1 });
  assert.deepEqual(plain, ['{"type":"MESSAGE","text":"no position"}', '{"hello":1}']);
});

test('bad subscriptions are said clearly', async (t) => {
  const { client } = await subscribed(t);
  for (const [topics, handlers, options, said] of [
    ['a b', () => {}, {}, /topic: "a b" is not 1 to 255/],
    ['$antiphon:x', () => {}, {}, /reserved/],
    [[], () => {}, {}, /topics: 1 to 1000/],
    [['a', 'a'], () => {}, {}, /topics: a stands there twice/],
    [undefined, () => {}, {}, /topic: undefined/],
    ['a', {}, {}, /handlers: there is none/],
    ['a', { onMessage: () => {} }, {}, /handlers: "onMessage" is not known/],
    ['a', { message: 5 }, {}, /handlers: message is not a function/],
    ['a', () => {}, { from: { a: 5 } }, /from: the position of a is not a text/],
    ['a', () => {}, { position: 'x' }, /subscribe: "position" is not known/],
  ]) {
    await assert.rejects(client.subscribe(topics, handlers, options), (error) => {
      assert.equal(error.code, 'INVALID', error);
      assert.match(error.message, said);
      return true;
    });
  }
  await assert.rejects(client.subscribe('news', () => {}), { code: 'ALREADY_SUBSCRIBED', topic: 'news' });
});
