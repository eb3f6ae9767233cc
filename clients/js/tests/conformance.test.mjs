// The conversations of clients/conformance.json, with a real node.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { clientAt, Heard, reaches } from './support/client.mjs';
import { startProxy } from './support/proxy.mjs';
import { startServer, tokenOf } from './support/server.mjs';

const { cases } = JSON.parse(await readFile(new URL('../../conformance.json', import.meta.url), 'utf8'));
const content = ({ text, body }) => text ?? body;
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

  constructor(tenant) {
    this.tenant = tenant;
  }

  async connect(step) {
    const proxy = await startProxy(server.url);
    const client = clientAt(proxy.url, await tokenOf(server, this.tenant, step.user));
    const peer = { proxy, client, subscriptions: new Map(), entries: new Map(), signals: new Map(), events: new Heard() };
    this.clients.set(step.connect, peer);
    await reaches(client, 'online');
  }

  async subscribe(step) {
    const peer = this.clients.get(step.subscribe);
    const heard = (lists, topic) => lists.get(topic) ?? lists.set(topic, new Heard()).get(topic);
    const handlers = {
      message: (message) => heard(peer.entries, message.entry.topic).push(content(message)),
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

  async settle(step) {
    assert.equal(await this.begun.get(step.settle), step.expect);
  }

  signal(step) {
    assert.equal(this.clients.get(step.signal).client.signal(step.draft), true);
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

  async #hears(lists, { topic, texts }) {
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
    this.clients.get(step.cut).proxy.cut();
  }

  async offline(step) {
    const { proxy, client } = this.clients.get(step.offline);
    proxy.refuses = true;
    proxy.cut();
    await reaches(client, 'waiting');
  }

  online(step) {
    this.clients.get(step.online).proxy.refuses = false;
  }

  unsubscribe(step) {
    const { subscriptions } = this.clients.get(step.unsubscribe);
    return Promise.all(step.topics.map((topic) => subscriptions.get(topic).close()));
  }

  async ends(step) {
    assert.equal((await reaches(this.clients.get(step.ends).client, 'closed')).error.code, step.code);
  }

  close(step) {
    this.clients.get(step.close).client.close();
  }

  api({ api: method, path, body }) {
    return server.api(method, path, body);
  }

  async end() {
    for (const { client, proxy } of this.clients.values()) {
      client.close();
      await proxy.stop();
    }
    for (const heard of this.followed) assert.deepEqual(heard.all, [], 'heard and not expected');
  }
}

for (const [number, { name, steps }] of cases.entries()) {
  test(name, async () => {
    const tenant = `case-${number}`;
    const conversation = new Conversation(tenant);
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
  });
}
