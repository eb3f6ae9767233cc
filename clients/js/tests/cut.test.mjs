// The fault case: the connection is cut after each frame of a conversation, in either direction, and nothing that was
// said is lost, doubled or out of order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { clientAt, Heard } from './support/client.mjs';
import { startProxy } from './support/proxy.mjs';
import { startServer, tokenOf } from './support/server.mjs';

const TOPICS = ['news', 'weather'];
const EACH = 4;
const AT_ONCE = 6;
let server;
let tenants = 0;

before(async () => (server = await startServer()));
after(() => server?.stop());

/**
 * Ann, whose line is cut, and Ben, whose line holds, each publish to two topics that both hear. Gives the frames that
 * Ann's connections had, and how many connections there were.
 */
async function conversation(cutAfter) {
  const tenant = `cut-${(tenants += 1)}`;
  const proxy = await startProxy(server.url, { cutAfter });
  const ann = clientAt(proxy.url, await tokenOf(server, tenant, 'ann'), { random: () => 0 });
  const ben = clientAt(server.url, await tokenOf(server, tenant, 'ben'));
  try {
    const heard = new Heard();
    // A handler that takes its time: entries wait in the inbox while the line is cut.
    const slowly = async (message) => {
      await new Promise((resolve) => setImmediate(resolve));
      heard.push(message);
    };
    await ann.subscribe(TOPICS, slowly);
    await ben.subscribe(['fence'], () => {});
    const published = [ann, ben].flatMap((client, who) =>
      TOPICS.flatMap((topic) =>
        Array.from({ length: EACH }, async (_, n) => {
          const text = `${who} ${n}`;
          return { topic, text, who, n, accepted: await client.publish({ topic, text }) };
        })));
    const all = await Promise.all(published);
    for (const topic of TOPICS) await ben.publish({ topic, text: 'end' });
    const ended = (messages) => TOPICS.every((topic) => messages.some((m) => m.entry.topic === topic && m.text === 'end'));
    const got = await heard.until(ended, 'the end');
    for (const topic of TOPICS) {
      const { entries } = await ben.history({ topic, limit: 200 });
      const line = ({ offset, text }) => `${offset} ${text}`;
      assert.deepEqual(got.filter((message) => message.entry.topic === topic).map(line), entries.map(line));
      assert.equal(entries.length, 2 * EACH + 1, 'something was published twice, or not at all');
      for (const who of [0, 1]) {
        const own = all.filter((one) => one.topic === topic && one.who === who);
        const offsets = own.map((one) => one.accepted.offset);
        assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b), 'published out of order');
        for (const { accepted, text } of own) {
          assert.equal(entries.find((entry) => entry.entry.id === accepted.id)?.text, text);
        }
      }
    }
    return { frames: proxy.frames, connections: proxy.connections };
  } finally {
    ann.close();
    ben.close();
    await proxy.stop();
  }
}

test('a connection that is cut at any frame loses, doubles and reorders nothing', async (t) => {
  const whole = await conversation(() => undefined);
  assert.equal(whole.connections, 1);
  let next = 1;
  let cuts = 0;
  const worker = async () => {
    while (next <= whole.frames) {
      const at = next++;
      const { connections } = await conversation((connection) => (connection === 1 ? at : undefined)).catch((error) => {
        throw new Error(`cut after frame ${at} of ${whole.frames}`, { cause: error });
      });
      if (connections > 1) cuts += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  t.diagnostic(`${cuts} cuts in ${whole.frames} frames`);
  // The number of frames differs a little from run to run, so that the last cuts may come to nothing.
  assert.ok(cuts >= whole.frames * 0.8, `only ${cuts} of ${whole.frames} were cut`);
});

test('a connection that is cut again and again still gets everything through', async () => {
  // Seven is the least with which something gets through: the greeting, the SUBSCRIBE, and a publish of each topic, are six.
  for (const frames of [7, 8, 10, 14]) {
    const { connections } = await conversation(() => frames);
    assert.ok(connections > 2, `only ${connections} connections`);
  }
});
