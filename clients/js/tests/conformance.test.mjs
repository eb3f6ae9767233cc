// The conversations of clients/conformance.json, with a real node.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { clientAt, Heard, reaches } from './support/client.mjs';
import { withDatabase } from './support/postgres.mjs';
import { startProxy } from './support/proxy.mjs';
import { startServer, tokenOf } from './support/server.mjs';

const { cases } = JSON.parse(await readFile(new URL('../../conformance.json', import.meta.url), 'utf8'));
const content = ({ text, body }) => text ?? body;
const counted = (count) => Array.from({ length: count }, (_, n) => `${n}`);
let server;

before(async () => (server = await startServer()));
after(() => server?.stop());

/** Puts the tenant, and the parts of saved positions, into a step. */
function filled(value, tenant, saved) {
  if (typeof value === 'string') {
    return value.replace('{tenant}', tenant).replace(/\$\{(\w+)(?:\.(\w+))?\}/g, (_, name, part) => {
      const [epoch, offset, link] = saved[name].split('-');
      return part ? { epoch, offset, link }[part] : saved[name];
    });
  }
  if (Array.isArray(value)) return value.map((item) => filled(item, tenant, saved));
  if (typeof value !== 'object' || value === null) return value;
  if ('repeat' in value) return value.repeat.repeat(value.times);
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [filled(name, tenant, saved), filled(item, tenant, saved)]),
  );
}

/** One case's clients, and what its verbs do with them. */
class Conversation {
  clients = new Map();
  begun = new Map();
  saved = {};
  /** What is heard by a step has to be heard by steps to its end. */
  followed = new Set();

  constructor(tenant, nodes) {
    this.tenant = tenant;
    this.nodes = nodes;
  }

  async connect({ connect, user, ttl, inbox }) {
    const proxies = await Promise.all(this.nodes.map(({ url }) => startProxy(url)));
    let token = await tokenOf(this.#node(), this.tenant, user, ttl);
    if (ttl) {
      let next = token;
      token = async () => {
        const given = next;
        next = await tokenOf(this.#node(), this.tenant, user);
        return given;
      };
    }
    // What is refused and nobody waits for is a signal over the rate.
    const options = { onError: () => {}, ...(inbox && { inboxMax: inbox }) };
    const client = clientAt(proxies.map(({ url }) => url), token, options);
    const lists = { subscriptions: new Map(), entries: new Map(), signals: new Map(), events: new Heard() };
    const peer = { proxies, client, states: [], stalled: null, ...lists };
    this.clients.set(connect, peer);
    await reaches(client, 'online');
    client.state.subscribe(({ name }) => peer.states.push(name));
  }

  async subscribe(step) {
    const peer = this.clients.get(step.subscribe);
    const heard = (lists, topic) => lists.get(topic) ?? lists.set(topic, new Heard()).get(topic);
    const handlers = {
      message: async (message) => {
        await peer.stalled;
        heard(peer.entries, message.entry.topic).push(content(message));
      },
      signal: (signal) => heard(peer.signals, signal.topic).push(content(signal)),
      reset: (reset) => peer.events.push({ kind: 'reset', ...reset }),
      unsubscribed: (unsubscribed) => peer.events.push({ kind: 'unsubscribed', ...unsubscribed }),
    };
    const topics = step.topics ?? [this.tenant];
    for (const topic of topics) for (const lists of [peer.entries, peer.signals]) heard(lists, topic);
    let begun;
    try {
      const subscription = await peer.client.subscribe(step.topics, handlers, { from: step.from ?? {} });
      for (const topic of topics) peer.subscriptions.set(topic, subscription);
      begun = [...subscription.topics].map(([topic, start]) => [topic, start.code ?? (start.recovered ? 'recovered' : 'began')]);
    } catch (error) {
      begun = topics.map((topic) => [topic, error.code]);
    }
    if (step.expect) assert.deepEqual(Object.fromEntries(begun), step.expect);
  }

  async publish(step) {
    const published = this.clients.get(step.publish).client.publish(step.draft);
    const outcome = published.then(({ duplicate }) => (duplicate ? 'duplicate' : 'accepted'), (error) => error.code);
    if (step.begin) this.begun.set(step.begin, outcome);
    else assert.equal(await outcome, step.expect);
  }

  publishMany({ publishMany, topic, count, begin }) {
    const { client } = this.clients.get(publishMany);
    const all = counted(count).map((text) => client.publish({ topic, text }));
    const outcome = Promise.all(all).then(() => 'accepted', (error) => error.code);
    if (begin) return void this.begun.set(begin, outcome);
    return outcome.then((became) => assert.equal(became, 'accepted'));
  }

  async settle(step) {
    assert.equal(await this.begun.get(step.settle), step.expect);
  }

  signal(step) {
    const { client } = this.clients.get(step.signal);
    for (let left = step.times ?? 1; left > 0; left -= 1) assert.equal(client.signal(step.draft), true);
  }

  async history(step) {
    const past = await this.clients.get(step.history).client.history(step.page);
    assert.deepEqual({ texts: past.entries.map(content), more: past.more }, step.expect);
  }

  async presence(step) {
    const users = await this.clients.get(step.presence).client.presence(step.topic);
    assert.deepEqual(users.toSorted(), step.expect);
  }

  async hear(step) {
    await this.#hears(this.clients.get(step.hear).entries, step);
  }

  async hearSignals(step) {
    await this.#hears(this.clients.get(step.hearSignals).signals, step);
  }

  async #hears(lists, { topic, count, texts = counted(count) }) {
    const heard = lists.get(topic);
    this.followed.add(heard);
    const all = await heard.until((items) => items.length >= texts.length, JSON.stringify(texts).slice(0, 200));
    assert.deepEqual(all.splice(0), texts);
  }

  reset(step) {
    return this.#happens(this.clients.get(step.reset), 'reset', step);
  }

  unsubscribed(step) {
    return this.#happens(this.clients.get(step.unsubscribed), 'unsubscribed', step);
  }

  #happens(peer, kind, { topic, reason }) {
    const is = (event) => event.kind === kind && event.topic === topic && event.reason === reason;
    return peer.events.until((events) => events.some(is), `${kind} ${reason}`);
  }

  save(step) {
    this.saved[step.as] = this.clients.get(step.save).subscriptions.get(step.topic).position(step.topic);
  }

  cut(step) {
    for (const proxy of this.clients.get(step.cut).proxies) proxy.cut();
  }

  async offline(step) {
    const { proxies, client } = this.clients.get(step.offline);
    for (const proxy of proxies) proxy.refuses = true;
    for (const proxy of proxies) proxy.cut();
    await reaches(client, 'waiting');
  }

  online(step) {
    for (const proxy of this.clients.get(step.online).proxies) proxy.refuses = false;
  }

  unsubscribe(step) {
    const { subscriptions } = this.clients.get(step.unsubscribe);
    return Promise.all(step.topics.map((topic) => subscriptions.get(topic).close()));
  }

  async ends(step) {
    assert.equal((await reaches(this.clients.get(step.ends).client, 'closed')).error.code, step.code);
  }

  loseAnswer(step) {
    for (const proxy of this.clients.get(step.loseAnswer).proxies) proxy.losesAnswer = true;
  }

  stall(step) {
    const peer = this.clients.get(step.stall);
    peer.stalled = new Promise((resolve) => (peer.goOn = resolve));
  }

  unstall(step) {
    const peer = this.clients.get(step.unstall);
    peer.stalled = null;
    peer.goOn();
  }

  stayed(step) {
    const { states } = this.clients.get(step.stayed);
    assert.deepEqual(states.filter((name) => name !== 'online'), []);
  }

  kill(step) {
    return this.nodes[step.kill].end();
  }

  start(step) {
    return this.nodes[step.start].start();
  }

  async drain(step) {
    assert.equal(await this.nodes[step.drain].end('SIGTERM'), 0);
  }

  wait(step) {
    return new Promise((resolve) => setTimeout(resolve, step.wait));
  }

  close(step) {
    this.clients.get(step.close).client.close();
  }

  api({ api: method, path, body }) {
    return this.#node().api(method, path, body);
  }

  /** One that runs. */
  #node() {
    return this.nodes.find(({ child }) => child.exitCode === null && child.signalCode === null);
  }

  async end() {
    for (const { client, proxies } of this.clients.values()) {
      client.close();
      for (const proxy of proxies) await proxy.stop();
    }
    for (const heard of this.followed) assert.deepEqual(heard.all, [], 'heard and not expected');
  }
}

async function converse(tenant, nodes, steps) {
  const conversation = new Conversation(tenant, nodes);
  try {
    for (const raw of steps) {
      const step = filled(raw, tenant, conversation.saved);
      const verb = Object.keys(step)[0];
      assert.equal(typeof conversation[verb], 'function', `${verb} is no verb`);
      await conversation[verb](step);
    }
  } finally {
    await conversation.end();
  }
}

async function withNodes(starts, use) {
  const nodes = [];
  try {
    for (const start of starts) nodes.push(await startServer(start));
    return await use(nodes);
  } finally {
    for (const node of nodes) await node.stop();
  }
}

for (const [number, { name, node, nodes, steps }] of cases.entries()) {
  const tenant = `case-${number}`;
  test(name, async (t) => {
    if (node) return withNodes([{ args: node }], (own) => converse(tenant, own, steps));
    if (!nodes) return converse(tenant, [server], steps);
    await withDatabase(t, (database) => {
      const starts = Array.from({ length: nodes }, () => ({ database, args: ['--drain', '1s'] }));
      return withNodes(starts, (own) => converse(tenant, own, steps));
    });
  });
}
