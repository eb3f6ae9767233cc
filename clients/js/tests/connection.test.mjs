// The connection: when it is left, when it is tried again, and for how long it is waited.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AntiphonError, Client } from '../dist/index.js';
import { connected, entry, position, subscribed, turn } from './support/fake.mjs';

test('the delay is drawn from a bound that doubles up to its cap, and only a connection that held starts anew', async (t) => {
  const { opened, states, tick } = await connected(t, { backoff: { capMs: 1000 } });
  const delays = () => states.filter(({ name }) => name === 'waiting').map(({ retryAt }) => retryAt - Date.now());
  for (const expected of [250, 500, 1000, 1000]) {
    opened.at(-1).drop();
    assert.equal(states.at(-1).retryAt - Date.now(), expected);
    await tick(expected);
  }
  assert.equal(delays().length, 4);
  opened.at(-1).greet();
  await tick(29_999);
  opened.at(-1).drop();
  assert.equal(states.at(-1).retryAt - Date.now(), 1000);
  await tick(1000);
  opened.at(-1).greet();
  for (let i = 0; i < 3; i += 1) {
    await tick(14_000);
    opened.at(-1).hear({ type: 'PONG' });
  }
  opened.at(-1).drop();
  assert.equal(states.at(-1).retryAt - Date.now(), 250);
});

test('the delay is a share of its bound that chance draws', async (t) => {
  const { opened, states } = await connected(t, { random: () => 0.1 });
  opened[0].drop();
  assert.equal(states.at(-1).retryAt - Date.now(), 25);
});

test('the nodes are tried in turn', async (t) => {
  const { opened, tick } = await connected(t);
  for (let i = 0; i < 3; i += 1) {
    opened.at(-1).drop();
    await tick(30_000);
  }
  assert.deepEqual(opened.map(({ url }) => url), ['ws://a/ws', 'ws://b/ws', 'ws://a/ws', 'ws://b/ws']);
});

test('states are told: connecting, online, waiting with its time, closed', async (t) => {
  const { client, opened, states, tick } = await connected(t);
  opened[0].drop(1012);
  await tick(250);
  opened[1].greet();
  client.close();
  assert.deepEqual(states.map(({ name }) => name), ['connecting', 'online', 'waiting', 'connecting', 'online', 'closed']);
  assert.deepEqual([states[2].code, states[4].url, states[5].error.code], [1012, 'ws://b/ws', 'CLOSED']);
  assert.ok(opened[1].closed);
});

test("the server's time wins over the drawn one", async (t) => {
  const { opened, tick } = await connected(t);
  opened[0].drop();
  await tick(250);
  opened[1].onopen();
  opened[1].hear({ type: 'ERROR', ref: '0', code: 'UNAVAILABLE', text: 'later', retryAfterMs: 7000 });
  await tick(6999);
  assert.equal(opened.length, 2);
  await tick(1);
  assert.equal(opened.length, 3);
});

test('a node that does not greet in time is left', async (t) => {
  const { opened, tick, states } = await connected(t);
  opened[0].drop();
  await tick(250);
  opened[1].onopen();
  await tick(10_000);
  assert.ok(opened[1].closed);
  assert.equal(states.at(-1).name, 'waiting');
});

test('a connection without a sound is asked for one, and left when none comes', async (t) => {
  const { opened, states, tick } = await connected(t);
  await tick(15_000);
  assert.deepEqual(opened[0].last('PING'), { type: 'PING' });
  opened[0].hear({ type: 'PONG' });
  await tick(15_000);
  assert.equal(opened[0].all('PING').length, 3);
  await tick(10_000);
  assert.ok(opened[0].closed);
  assert.equal(states.at(-1).name, 'waiting');
});

test('when the browser is online again a try comes sooner, but not before the time that the server said', async (t) => {
  const events = new EventTarget();
  for (const name of ['addEventListener', 'removeEventListener']) globalThis[name] = events[name].bind(events);
  t.after(() => ['addEventListener', 'removeEventListener'].forEach((name) => delete globalThis[name]));
  const { client, opened, tick } = await connected(t, { backoff: { baseMs: 4000 } });
  opened[0].drop();
  await tick(4000);
  opened[1].drop();
  await tick(100);
  events.dispatchEvent(new Event('online'));
  await tick(3999);
  assert.equal(opened.length, 2);
  await tick(1);
  assert.equal(opened.length, 3);
  opened[2].onopen();
  opened[2].hear({ type: 'ERROR', ref: '0', code: 'UNAVAILABLE', text: 'later', retryAfterMs: 60_000 });
  events.dispatchEvent(new Event('online'));
  await tick(59_999);
  assert.equal(opened.length, 3);
  await tick(1);
  opened[3].greet();
  events.dispatchEvent(new Event('offline'));
  assert.equal(opened[3].all('PING').length, 2, 'a line that may be dead is not asked');
  client.close();
  events.dispatchEvent(new Event('online'));
});

test('4401 is final', async (t) => {
  const { client, opened, tick } = await connected(t);
  const failed = assert.rejects(client.publish({ text: 'x' }), { name: 'AntiphonError', code: 'TOKEN_REVOKED' });
  opened[0].hear({ type: 'TERMINATE_CONNECTION', text: 'TOKEN_REVOKED' });
  await failed;
  await tick(100_000);
  assert.equal(opened.length, 1);
  assert.deepEqual([client.state.value.name, client.state.value.error.code], ['closed', 'TOKEN_REVOKED']);
  await assert.rejects(client.subscribe('news', () => {}), { code: 'TOKEN_REVOKED' });
});

for (const reason of ['TOKEN_EXPIRED', 'INVALID_TOKEN']) {
  test(`${reason} is worth one fresh token, and the same one again is final`, async (t) => {
    const tokens = ['one', 'two', 'two'];
    const { client, opened, tick } = await connected(t, { token: async () => tokens.shift() });
    opened[0].hear({ type: 'TERMINATE_CONNECTION', text: reason });
    await tick(250);
    opened[1].greet();
    assert.equal(opened[1].said[0].token, 'two');
    opened[1].hear({ type: 'TERMINATE_CONNECTION', text: reason });
    await tick(500);
    assert.deepEqual([opened.length, client.state.value.name], [2, 'closed']);
  });

  test(`${reason} of a token that is no callback is final`, async (t) => {
    const { client, opened } = await connected(t);
    opened[0].hear({ type: 'TERMINATE_CONNECTION', text: reason });
    assert.equal(client.state.value.error.code, reason);
  });
}

test('a token that ends is replaced shortly before, on the same connection', async (t) => {
  const tokens = ['one', 'two', 'three'];
  const { opened, tick } = await subscribed(t, { token: () => tokens.shift(), begin: { expiresAt: 100_000 } });
  const alive = async (ms) => {
    for (let left = ms; left > 0; left -= 10_000) {
      await tick(Math.min(left, 10_000));
      opened[0].hear({ type: 'PONG' });
    }
  };
  await alive(79_999);
  assert.equal(opened[0].all('SUBSCRIBE').length, 1);
  await alive(1);
  assert.deepEqual(opened[0].last('SUBSCRIBE'), { type: 'SUBSCRIBE', topics: ['news'], token: 'two', ref: opened[0].last('SUBSCRIBE').ref });
  opened[0].begin({ expiresAt: Date.now() + 1_000_000 });
  await alive(970_000);
  assert.equal(opened[0].last('SUBSCRIBE').token, 'three');
  assert.equal(opened.length, 1);
});

test('a token whose showing is refused for now is shown again after the time that the server said', async (t) => {
  const tokens = ['one', 'two', 'three'];
  const { opened, tick } = await subscribed(t, { token: () => tokens.shift(), begin: { expiresAt: 10_000 } });
  await tick(8000);
  const { ref } = opened[0].last('SUBSCRIBE');
  opened[0].hear({ type: 'ERROR', ref, code: 'RATE_LIMITED', text: 'slower', retryAfterMs: 500 });
  await tick(499);
  assert.equal(opened[0].all('SUBSCRIBE').length, 2);
  await tick(1);
  assert.deepEqual([opened[0].all('SUBSCRIBE').length, opened[0].last('SUBSCRIBE').token], [3, 'two']);
  opened[0].begin({ expiresAt: Date.now() + 10_000 });
  await tick(8000);
  assert.equal(opened[0].last('SUBSCRIBE').token, 'three');
});

test("a clock that is wrong does not make the token's callback be asked again and again", async (t) => {
  let asked = 0;
  const { opened, tick } = await subscribed(t, { token: () => `t${(asked += 1)}`, begin: { expiresAt: -5_000_000 } });
  for (let i = 0; i < 29; i += 1) {
    await tick(1000);
    opened[0].hear({ type: 'PONG' });
  }
  assert.equal(asked, 1);
});

test("a token's callback that fails is asked again, and said", async (t) => {
  let asked = 0;
  const token = async () => {
    asked += 1;
    if (asked === 2) throw new Error('no network');
    return `t${asked}`;
  };
  const { opened, states, errors, tick } = await connected(t, { token });
  opened[0].drop();
  await tick(250);
  assert.deepEqual([states.at(-1).name, states.at(-1).error.code, errors[0].code], ['waiting', 'TOKEN', 'TOKEN']);
  await tick(500);
  opened[1].greet();
  assert.equal(opened[1].said[0].token, 't3');
});

test('on RECONNECT the new connection is there before the old one is left', async (t) => {
  const { client, opened, got, states, tick } = await subscribed(t);
  opened[0].hear(entry(1));
  opened[0].hear({ type: 'RECONNECT', afterMs: 4000 });
  await tick(3999);
  assert.equal(opened.length, 1);
  await tick(1);
  assert.equal(opened.length, 2);
  opened[0].hear(entry(2));
  opened[1].greet();
  assert.deepEqual(opened[1].last('SUBSCRIBE').positions, { news: position(2) });
  assert.equal(opened[0].closed, false);
  opened[0].hear(entry(3));
  opened[0].hear({ type: 'SIGNAL', topic: 'news', text: 'old', userId: 'bob', projectId: null });
  opened[1].begin({ offset: 2 });
  assert.equal(opened[0].closed, true, 'it is left once the new one has answered');
  opened[0].hear(entry(4));
  for (const offset of [3, 4, 5]) opened[1].hear(entry(offset));
  opened[1].hear({ type: 'SIGNAL', topic: 'news', text: 'new', userId: 'bob', projectId: null });
  assert.deepEqual(got.map(({ text }) => text), ['1', '2', '3', '4', '5', 'new']);
  assert.deepEqual(states.map(({ name }) => name), ['connecting', 'online', 'online']);
  assert.equal(client.state.value.url, 'ws://b/ws');
});

test('a publish that is under way is answered by the old connection, and what follows goes to the new one', async (t) => {
  const { client, opened, tick } = await subscribed(t);
  const first = client.publish({ topic: 'news', text: '1' });
  const second = client.publish({ topic: 'news', text: '2' });
  await turn();
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  opened[1].begin();
  assert.equal(opened[0].closed, false);
  assert.equal(opened[1].last('MESSAGE'), undefined);
  opened[0].accept(1);
  assert.deepEqual(await first, { id: 'id-1', position: position(1), offset: 1, duplicate: false });
  assert.equal(opened[0].closed, true);
  assert.equal(opened[1].last('MESSAGE').text, '2');
  opened[1].accept(2);
  assert.equal((await second).offset, 2);
});

test('an old connection that owes an answer for too long is left, and the publish is said again', async (t) => {
  const { client, opened, tick } = await subscribed(t);
  const published = client.publish({ topic: 'news', text: '1' });
  await turn();
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  opened[1].begin();
  await tick(10_000);
  assert.equal(opened[0].closed, true);
  assert.equal(opened[1].last('MESSAGE').key, opened[0].last('MESSAGE').key);
  opened[1].accept(1, opened[1].last('MESSAGE'), { duplicate: true });
  assert.equal((await published).duplicate, true);
});

test('a reset of the new connection is not spliced with what the old one still says', async (t) => {
  const { opened, got, tick } = await subscribed(t);
  opened[0].hear(entry(9));
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  opened[1].begin({ offset: 9 });
  opened[1].hear({ type: 'RESET', topic: 'news', reason: 'FORK', position: position(4) });
  opened[0].hear(entry(10));
  opened[1].hear(entry(5));
  assert.deepEqual(got.map(({ text, reason }) => text ?? reason), ['9', 'FORK', '5']);
});

test('a successor that can not be reached is tried again while the old connection goes on', async (t) => {
  const { opened, got, states, tick } = await subscribed(t);
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].drop();
  opened[0].hear(entry(1));
  await tick(250);
  assert.equal(opened.length, 3);
  opened[0].drop(1012);
  assert.equal(states.at(-1).name, 'connecting');
  opened[2].greet();
  opened[2].begin();
  opened[2].hear(entry(2));
  assert.deepEqual(got.map(({ text }) => text), ['1', '2']);
});

test('a successor that fails before it has answered for the topics leaves the old connection as it was', async (t) => {
  const { client, opened, got, states, tick } = await subscribed(t);
  const published = client.publish({ topic: 'news', text: 'x' });
  await turn();
  opened[0].accept(1);
  await published;
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  const later = client.publish({ topic: 'news', text: 'y' });
  await turn();
  opened[1].drop();
  assert.deepEqual([opened[0].closed, client.state.value], [false, { name: 'online', url: 'ws://a/ws' }]);
  assert.equal(opened[0].last('MESSAGE').key, opened[1].last('MESSAGE').key);
  opened[0].accept(2);
  await later;
  opened[0].hear(entry(2));
  assert.equal(opened[0].all('SUBSCRIBE').length, 1, 'what it says already is not asked of it again');
  await tick(250);
  opened[2].greet();
  opened[2].begin({ offset: 2 });
  opened[2].hear(entry(3));
  assert.deepEqual([opened[0].closed, got.map(({ text }) => text)], [true, ['2', '3']]);
  assert.ok(states.every(({ name }) => name !== 'waiting'));
});

test('what a failed successor had taken over begins anew on the old connection, and nothing is passed over', async (t) => {
  const { client, opened, got, tick } = await subscribed(t);
  const begun = client.subscribe('weather', () => {});
  await turn();
  opened[0].begin();
  await begun;
  opened[0].hear({ type: 'RECONNECT', afterMs: 0 });
  await tick(1);
  opened[1].greet();
  const [ask] = opened[1].all('SUBSCRIBE');
  const topics = { news: { position: position(0), recovered: true }, weather: { error: { code: 'UNAVAILABLE', text: 'later', retryAfterMs: 5000 } } };
  opened[1].hear({ type: 'SUBSCRIPTION_SUCCESSFUL', ref: ask.ref, text: 'acme', userId: 'ann', expiresAt: null, topics });
  opened[1].hear(entry(1));
  opened[0].hear(entry(1));
  opened[0].hear(entry(2));
  opened[1].drop();
  assert.deepEqual(opened[0].last('UNSUBSCRIBE').topics, ['news']);
  opened[0].hear(entry(3));
  opened[0].end();
  assert.deepEqual(opened[0].last('SUBSCRIBE').positions, { news: position(1) });
  opened[0].begin({ offset: 1 });
  for (const offset of [2, 3]) opened[0].hear(entry(offset));
  assert.deepEqual(got.map(({ text }) => text), ['1', '2', '3']);
});

test('a node that is gone before its time is come back to at that time', async (t) => {
  const { opened, tick } = await connected(t);
  opened[0].hear({ type: 'RECONNECT', afterMs: 900 });
  opened[0].drop(1012);
  await tick(899);
  assert.equal(opened.length, 1);
  await tick(1);
  assert.equal(opened.length, 2);
});

test('an application moves to another node without a gap', async (t) => {
  const { client, opened, tick } = await subscribed(t, { url: ['ws://a', 'ws://b', 'ws://c'] });
  client.moveTo('ws://c');
  await tick(0);
  assert.equal(opened[1].url, 'ws://c/ws');
  opened[1].greet();
  opened[1].begin();
  assert.deepEqual([opened[0].closed, client.state.value.url], [true, 'ws://c/ws']);
});

test('an address that is none of its own is no place to move to', async (t) => {
  const { client } = await connected(t);
  assert.throws(() => client.moveTo('ws://elsewhere'), { code: 'INVALID' });
});

test('a frame that is not what it should be is not passed over', async (t) => {
  const { opened, errors, tick } = await subscribed(t);
  opened[0].hear(entry(1));
  opened[0].hear({ type: 'MESSAGE', position: position(2), offset: 2 });
  opened[0].hear(entry(3));
  assert.ok(opened[0].closed && errors[0] instanceof TypeError);
  await tick(250);
  opened[1].greet();
  assert.deepEqual(opened[1].last('SUBSCRIBE').positions, { news: position(1) });
});

test('bad options are said clearly', () => {
  const WebSocket = class {};
  for (const [options, said] of [
    [{}, /url: undefined is no text/],
    [{ url: 'ftp://a' }, /url: "ftp:\/\/a": the scheme must be/],
    [{ url: 'a b' }, /not a URL/],
    [{ url: [] }, /url: there is none/],
    [{ url: 'ws://u:p@a' }, /names and passwords/],
    [{ url: 'ws://a', token: 5 }, /token: neither a text nor a function/],
    [{ url: 'ws://a', tokens: 'x' }, /options: "tokens" is not known/],
    [{ url: 'ws://a', backoff: { base: 1 } }, /backoff: "base" is not known/],
    [{ url: 'ws://a', backoff: { baseMs: 'x' } }, /backoff.baseMs: x is not a number/],
    [{ url: 'ws://a', inboxMax: 0 }, /inboxMax: 0 is not a number from 1/],
    [{ url: 'ws://a', positions: {} }, /positions: it needs the functions get and set/],
    [{ url: 'ws://a', onError: 'x' }, /onError: not a function/],
    [null, /options: not an object/],
  ]) {
    assert.throws(() => new Client(options && { WebSocket, ...options }), (error) => {
      assert.ok(error instanceof AntiphonError && error.code === 'INVALID', error);
      assert.match(error.message, said);
      return true;
    });
  }
  assert.throws(() => new Client({ url: 'ws://a', WebSocket: 'ws' }), /give a constructor/);
});
