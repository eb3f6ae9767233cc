// A node that says what a test makes it say, and a clock that stands still but when the test moves it.

import { Client } from '../../dist/index.js';

export const position = (offset) => `0000000000000001-${offset}-0000000000000002`;
export const entry = (offset, topic = 'news') => ({
  type: 'MESSAGE',
  text: `${offset}`,
  position: position(offset),
  offset,
  entry: { id: `id-${offset}`, topic, userId: 'bob' },
});

/** Lets promises settle. */
export const turn = async () => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Every socket that was opened, in order; each keeps what was said to it. */
function sockets() {
  const opened = [];
  class FakeSocket {
    bufferedAmount = 0;

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

    drop(code = 1006) {
      this.onclose({ code });
    }

    all(type) {
      return this.said.filter((frame) => frame.type === type);
    }

    last(type) {
      return this.all(type).at(-1);
    }

    /** Answers the last SUBSCRIBE. */
    begin({ offset = 0, expiresAt = null, ask = this.last('SUBSCRIBE') } = {}) {
      const topics = Object.fromEntries(ask.topics.map((topic) => [topic, { position: position(offset), recovered: true }]));
      this.hear({ type: 'SUBSCRIPTION_SUCCESSFUL', ref: ask.ref, text: 'acme', userId: 'ann', expiresAt, topics });
    }

    /** Answers the last UNSUBSCRIBE. */
    end() {
      const { ref, topics } = this.last('UNSUBSCRIBE');
      this.hear({ type: 'UNSUBSCRIPTION_SUCCESSFUL', ref, topics });
    }

    /** Accepts the last MESSAGE, or that one. */
    accept(offset, { ref } = this.last('MESSAGE'), fields = {}) {
      this.hear({ type: 'ACCEPTED', ref, offset, position: position(offset), entry: { id: `id-${offset}` }, ...fields });
    }
  }
  return { opened, FakeSocket };
}

/** A client before a fake node; without jitter: each delay is its bound. */
export async function connected(t, options = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { opened, FakeSocket } = sockets();
  const errors = [];
  const url = ['ws://a/ws', 'ws://b/ws'];
  const onError = (error) => errors.push(error);
  const client = new Client({ url, token: 't', random: () => 1, WebSocket: FakeSocket, onError, ...options });
  const states = [];
  client.state.subscribe((state) => states.push(state));
  t.after(() => client.close());
  client.connect();
  await turn();
  opened[0].greet();
  const tick = async (ms) => {
    t.mock.timers.tick(ms);
    await turn();
  };
  return { client, opened, states, errors, tick };
}

/** The same, subscribed to `news`. `got` is what came, `log` each event with its kind. */
export async function subscribed(t, { handlers = {}, subscribe = {}, begin = {}, ...options } = {}) {
  const ground = await connected(t, options);
  const got = [];
  const log = [];
  const note = (kind) => (value) => {
    got.push(value);
    log.push(kind);
  };
  const all = Object.fromEntries(['message', 'signal', 'position', 'reset', 'unsubscribed'].map((kind) => [kind, note(kind)]));
  const begun = ground.client.subscribe('news', { ...all, ...handlers }, subscribe);
  await turn();
  ground.opened[0].begin(begin);
  return { ...ground, got, log, subscription: await begun };
}
