// What only a real node shows: tokens that end, a process that comes again, the move from one node to another.
// The drain of a node behind others needs a PostgreSQL that both share: TESTKIT_POSTGRES_URL names it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { clientAt, Heard, reaches } from './support/client.mjs';
import { withDatabase } from './support/postgres.mjs';
import { startProxy } from './support/proxy.mjs';
import { printedUrl, program, startServer, tokenOf } from './support/server.mjs';

const texts = (messages) => messages.map(({ text }) => text);
let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

test('a token that ends is renewed on the connection that holds', async () => {
  let asked = 0;
  const token = () => tokenOf(server, 'renewal', 'ann', (asked += 1) === 1 ? 4 : 600);
  const client = clientAt(server.url, token);
  const states = [];
  client.state.subscribe(({ name }) => states.push(name));
  const heard = new Heard();
  await client.subscribe('news', (message) => heard.push(message));
  // Until the first token has surely ended.
  await new Promise((resolve) => setTimeout(resolve, 4500));
  await client.publish({ topic: 'news', text: 'still here' });
  await heard.until((all) => all.length === 1);
  client.close();
  assert.deepEqual([asked, states], [2, ['online', 'closed']]);
});

test('a token that has ended is replaced, also one that was shown too late', async () => {
  const ended = await tokenOf(server, 'late', 'ann', 1);
  const tokens = [ended, await tokenOf(server, 'late', 'ann')];
  await new Promise((resolve) => setTimeout(resolve, 1200));
  const client = clientAt(server.url, () => tokens.shift());
  await client.publish({ topic: 'news', text: 'x' });
  client.close();
  assert.equal(tokens.length, 0);
});

test('a process that comes again goes on after the last entry that it has dealt with', async () => {
  const kept = new Map();
  const positions = { get: async (topic) => kept.get(topic), set: async (topic, position) => kept.set(topic, position) };
  const writer = clientAt(server.url, await tokenOf(server, 'again', 'ben'));
  const token = await tokenOf(server, 'again', 'ann');
  const dealt = [];
  for (let life = 0; life < 4; life += 1) {
    const client = clientAt(server.url, token, { positions });
    const heard = new Heard();
    let left = 2;
    const message = async ({ text }) => {
      // The third entry of a life is never finished: its process ends.
      if (left-- === 0) return new Promise(() => {});
      dealt.push(text);
      heard.push(text);
    };
    await client.subscribe(null, { message });
    if (life === 0) for (let n = 0; n < 7; n += 1) await writer.publish({ text: `${n}` });
    await heard.until((all) => all.length === Math.min(2, 7 - 2 * life));
    await new Promise((resolve) => setImmediate(resolve));
    client.close();
  }
  writer.close();
  assert.deepEqual(dealt, ['0', '1', '2', '3', '4', '5', '6']);
});

test('a handler that is slower than its topic gets everything, in order, from a small inbox', async () => {
  const slow = clientAt(server.url, await tokenOf(server, 'slow', 'ann'), { inboxMax: 5 });
  const writer = clientAt(server.url, await tokenOf(server, 'slow', 'ben'), { publishWindow: 50 });
  const heard = new Heard();
  await slow.subscribe('news', async ({ body }) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    heard.push(body);
  });
  const all = Array.from({ length: 300 }, (_, n) => n);
  await Promise.all(all.map((n) => writer.publish({ topic: 'news', body: n })));
  assert.deepEqual(await heard.until(({ length }) => length >= all.length, '300 entries'), all);
  assert.deepEqual(await writer.presence('news'), ['ann']);
  slow.close();
  writer.close();
});

test('the past is walked page by page', async () => {
  const client = clientAt(server.url, await tokenOf(server, 'past', 'ann'));
  for (let n = 0; n < 7; n += 1) await client.publish({ topic: 'news', text: `${n}` });
  const walk = async (page) => {
    const pages = [];
    for await (const { entries } of client.pages({ topic: 'news', limit: 3, ...page })) pages.push(texts(entries).join(''));
    return pages;
  };
  assert.deepEqual(await walk({}), ['456', '123', '0']);
  const first = (await client.history({ topic: 'news' })).entries[0].position;
  assert.deepEqual(await walk({ after: first }), ['123', '456']);
  client.close();
});

test('a node whose answer was lost answers the repeat with the same entry', async () => {
  const proxy = await startProxy(server.url);
  const client = clientAt(proxy.url, await tokenOf(server, 'repeat', 'ann'));
  await reaches(client, 'online');
  proxy.holds = true;
  const published = client.publish({ topic: 'news', text: 'once' });
  const watcher = clientAt(server.url, await tokenOf(server, 'repeat', 'ben'));
  const there = async () => (await watcher.history({ topic: 'news' })).entries;
  while (!(await there()).length);
  proxy.holds = false;
  proxy.cut();
  const accepted = await published;
  assert.deepEqual([accepted.duplicate, accepted.id], [true, (await there())[0].entry.id]);
  assert.equal((await there()).length, 1);
  client.close();
  watcher.close();
  await proxy.stop();
});

/** Ann hears while Ben publishes and `during` happens; gives what she heard, once she has the end. */
async function talk({ ann, ben, topic, during, each = 150 }) {
  const heard = new Heard();
  const states = [];
  ann.state.subscribe(({ name }) => states.push(name));
  await ann.subscribe(topic, { message: (message) => heard.push(message), reset: (reset) => heard.push(reset) });
  const happens = during();
  let said = 0;
  let over = false;
  happens.finally(() => (over = true)).catch(() => {});
  const own = [];
  while (!over || said < each) {
    await ben.publish({ topic, text: `ben ${said}` });
    own.push(ann.publish({ topic, text: `ann ${said}` }));
    said += 1;
  }
  await happens;
  await Promise.all(own);
  await ben.publish({ topic, text: 'end' });
  const all = await heard.until((messages) => messages.some(({ text }) => text === 'end'), 'the end');
  const log = [];
  for await (const { entries } of ben.pages({ topic, limit: 200 })) log.unshift(...texts(entries));
  assert.equal(log.length, 2 * said + 1);
  assert.deepEqual(texts(all), log);
  for (const who of ['ann', 'ben']) {
    assert.deepEqual(log.filter((text) => text.startsWith(who)), Array.from({ length: said }, (_, n) => `${who} ${n}`));
  }
  return states;
}

test('a client moves between two nodes while everybody talks: no gap, nothing twice, never offline', async () => {
  const demo = spawn(program, ['demo', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const page = await printedUrl(demo);
    const { tenant, users, nodes } = await (await fetch(`${page}/demo/state`)).json();
    const urls = nodes.map(({ url }) => url);
    const token = (id) => users.find((user) => user.id === id).token;
    const [ann, ben] = [clientAt(urls, token('ann')), clientAt(urls[1], token('bob'))];
    await reaches(ann, 'online');
    const during = async () => {
      for (const node of [1, 0, 1, 0]) {
        const there = reachesUrl(ann, urls[node]);
        ann.moveTo(urls[node]);
        await there;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const states = await talk({ ann, ben, topic: tenant, during });
    assert.deepEqual(states, ['online', 'online', 'online', 'online']);
    ann.close();
    ben.close();
  } finally {
    demo.removeAllListeners('exit');
    demo.kill('SIGKILL');
  }
});

function reachesUrl(client, url) {
  return new Promise((resolve) => {
    const stop = client.state.subscribe((state) => {
      if (state.name !== 'online' || state.url !== `${url.replace(/^http/, 'ws').replace(/\/$/, '')}/ws`) return;
      stop();
      resolve();
    });
  });
}

test('a node that drains is left before it ends: no gap, nothing twice, never offline', async (t) => {
  await withDatabase(t, async (database) => {
    const nodes = [await startServer({ database, args: ['--drain', '2s'] }), await startServer({ database })];
    const [first, second] = nodes;
    try {
      const ann = clientAt(nodes.map(({ url }) => url), await tokenOf(first, 'drain', 'ann'));
      const ben = clientAt(second.url, await tokenOf(first, 'drain', 'ben'));
      await reaches(ann, 'online');
      let status;
      const during = async () => (status = await first.stop('SIGTERM'));
      const states = await talk({ ann, ben, topic: 'news', during });
      assert.deepEqual([states, status], [['online'], 0]);
      assert.equal(ann.state.value.url, `${second.url.replace('http', 'ws')}/ws`);
      ann.close();
      ben.close();
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });
});
