// A small browser client of antiphon: connect, subscribe, publish, come back, resume.
//
// A connection that is lost comes back by itself, at one node after the other, after a random time (full jitter).
// Every topic goes on from its last position; what was seen before is dropped. A publish has a key from the start,
// so that said again after a reconnect it is still one entry. docs/protocol.md has the frames.

const ASK_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
// A page never sees the server's pings, so it asks for life signs of its own.
const PING_EVERY_MS = 15_000;
const WAITING_MAX = 256;
const TOPICS_A_FRAME = 50;

/** Why something did not happen: `code` is the server's, or TIMEOUT, CLOSED, DISCONNECTED. */
export class AntiphonError extends Error {
  constructor(code, text, retryAfterMs) {
    super(text || code);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Events (in `detail`): `state` {state, url, code, delayMs}, `message`, `signal`, `position`, `reset`,
 * `unsubscribed` (each the server's frame), `resumed` {topics}, `terminated` {reason}, `plain` (the text).
 * States: `connecting`, `open`, `waiting`, `ended`.
 */
export class Antiphon extends EventTarget {
  #options;
  #turn = 0;
  #socket = null;
  #failed = 0;
  #openedAt = null;
  #leaveAt = null;
  #timers = new Map();
  #waiting = new Map();
  #refs = 1;
  #topics = new Map();
  #token = null;
  #endedToken = null;

  /**
   * `urls`: the nodes, tried in turn, or a function that gives them; `token`: a string, or an async function that
   * gives a fresh one before each connection.
   */
  constructor({ urls, token, baseMs = 250, capMs = 30_000, stableMs = 30_000, ...rest }) {
    super();
    const { random = Math.random, WebSocket = globalThis.WebSocket } = rest;
    this.#options = { urls, token, baseMs, capMs, stableMs, random, WebSocket };
    this.state = 'waiting';
    this.url = null;
  }

  #urls() {
    const { urls } = this.#options;
    return typeof urls === 'function' ? urls() : urls;
  }

  #turnTo(url) {
    this.#turn = Math.max(0, this.#urls().indexOf(url));
  }

  /** Connects; without `url` to the node whose turn it is. */
  connect(url) {
    if (url) this.#turnTo(url);
    if (this.state === 'waiting') this.#dial();
    return this;
  }

  /** Leaves for another node and goes on there. */
  moveTo(url) {
    this.#turnTo(url);
    this.#lost(null, 0);
  }

  close() {
    this.#end(new AntiphonError('CLOSED', 'the client is closed'));
  }

  /** Subscribes to a topic (without one: to the tenant's own), from a position if one is given. */
  async subscribe(topic, position) {
    const frame = { type: 'SUBSCRIBE' };
    if (topic) frame.topics = [topic];
    if (topic && position) frame.positions = { [topic]: position };
    const answer = await this.#ask(frame, (said) => this.#began(said, frame.positions));
    const [name, begun] = Object.entries(answer.topics)[0];
    if (begun.error) throw new AntiphonError(begun.error.code, begun.error.text, begun.error.retryAfterMs);
    return { topic: name, ...begun, tenant: answer.text, userId: answer.userId };
  }

  async unsubscribe(topic) {
    this.#topics.delete(topic);
    await this.#ask({ type: 'UNSUBSCRIBE', topics: [topic] });
  }

  /** Publishes {text or body, topic, projectId, key}; resolves once it is committed. */
  publish(draft) {
    return this.#ask({ type: 'MESSAGE', key: crypto.randomUUID(), ...draft });
  }

  /** Sends something ephemeral, now or not at all. */
  signal(draft) {
    if (this.state !== 'open') throw new AntiphonError('DISCONNECTED', 'not connected');
    this.#say({ type: 'SIGNAL', ...draft });
  }

  /** A page of the past: {topic, before, after, limit} -> {entries, more}. */
  history(page = {}) {
    return this.#ask({ type: 'HISTORY', ...page });
  }

  presence(topic) {
    return this.#ask({ type: 'PRESENCE', ...(topic && { topic }) });
  }

  /** The last offset of a topic that was seen. */
  offset(topic) {
    return this.#topics.get(topic)?.offset ?? 0;
  }

  // ---- asks

  #ask(frame, begun) {
    if (this.state === 'ended') return Promise.reject(new AntiphonError('CLOSED', 'the client has ended'));
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(new AntiphonError('UNAVAILABLE', 'too many asks wait for their answers'));
    }
    const deadline = Date.now() + ASK_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const ref = String(this.#refs++);
      const ask = { frame: { ...frame, ref }, resolve, reject, begun, deadline, timer: null };
      const late = () => this.#answer(ref, null, new AntiphonError('TIMEOUT', 'no answer in time'));
      ask.timer = setTimeout(late, ASK_TIMEOUT_MS);
      this.#waiting.set(ref, ask);
      if (this.state === 'open') this.#say(ask.frame);
    });
  }

  #answer(ref, said, error) {
    const ask = this.#waiting.get(ref);
    if (!ask) return;
    const again = error?.retryAfterMs;
    if (again !== undefined && Date.now() + again < ask.deadline) {
      setTimeout(() => this.state === 'open' && this.#waiting.has(ref) && this.#say(ask.frame), again);
      return;
    }
    clearTimeout(ask.timer);
    this.#waiting.delete(ref);
    if (error) return ask.reject(error);
    ask.begun?.(said);
    ask.resolve(said);
  }

  #say(frame) {
    this.#socket?.send(JSON.stringify(frame));
  }

  // ---- the connection

  async #dial() {
    const { token, WebSocket } = this.#options;
    const urls = this.#urls();
    const url = urls[this.#turn % urls.length];
    this.#turn = (this.#turn + 1) % urls.length;
    this.#become('connecting', { url });
    try {
      this.#token = typeof token === 'function' ? await token() : token;
    } catch {
      return this.#lost(null);
    }
    if (this.state !== 'connecting') return;
    if (this.#token === this.#endedToken) return this.#terminated('TOKEN_EXPIRED');
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#timer('connect', () => this.#lost(null), CONNECT_TIMEOUT_MS);
    const mine = (listen) => (event) => socket === this.#socket && listen(event);
    socket.onopen = mine(() => this.#say({ type: 'PING', ref: '0', token: this.#token }));
    socket.onmessage = mine((event) => this.#hear(event.data));
    socket.onclose = mine((event) => (event.code === 4401 ? this.#terminated(null) : this.#lost(event.code)));
  }

  #greeted() {
    this.#timer('connect');
    this.#endedToken = null;
    this.#openedAt = Date.now();
    const unanswered = [...this.#waiting.values()];
    this.#become('open', { url: this.#socket.url });
    this.#resume([...this.#topics.keys()]);
    unanswered.forEach((ask) => this.#say(ask.frame));
    this.#keepAlive();
  }

  #keepAlive() {
    const ping = () => {
      this.#say({ type: 'PING', ref: 'alive' });
      this.#timer('alive', () => this.#lost(null), CONNECT_TIMEOUT_MS);
    };
    this.#timer('alive', ping, PING_EVERY_MS);
  }

  /** The connection is gone: back after `delayMs`, else when the server said, else with jitter. */
  #lost(code, delayMs) {
    if (this.state === 'ended') return;
    const { baseMs, capMs, stableMs, random } = this.#options;
    this.#drop();
    if (this.#openedAt !== null && Date.now() - this.#openedAt >= stableMs) this.#failed = 0;
    if (delayMs === undefined && this.#leaveAt !== null) delayMs = Math.max(0, this.#leaveAt - Date.now());
    if (delayMs === undefined) {
      delayMs = random() * Math.min(capMs, baseMs * 2 ** this.#failed);
      this.#failed = Math.min(this.#failed + 1, 30);
    }
    this.#openedAt = null;
    this.#leaveAt = null;
    this.#become('waiting', { code, delayMs });
    this.#timer('dial', () => this.#dial(), delayMs);
  }

  #drop() {
    for (const name of [...this.#timers.keys()]) this.#timer(name);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #terminated(reason) {
    const renews = reason === 'TOKEN_EXPIRED' && typeof this.#options.token === 'function';
    if (renews && this.#openedAt !== null) {
      this.#endedToken = this.#token;
      return this.#lost(4401);
    }
    this.#end(new AntiphonError(reason ?? 'TERMINATED', 'the server ended this identity'));
    this.#emit('terminated', { reason });
  }

  #end(error) {
    this.#drop();
    this.#become('ended', { code: error.code });
    for (const ref of [...this.#waiting.keys()]) this.#answer(ref, null, error);
  }

  // ---- what the server says

  #hear(text) {
    if (this.state === 'open') this.#keepAlive();
    let said;
    try {
      said = JSON.parse(text);
    } catch {
      return;
    }
    switch (said.type) {
      case 'MESSAGE':
        if (said.position === undefined) return this.#emit('plain', text);
        return this.#moved(said.entry.topic, said) && this.#emit('message', said);
      case 'POSITION':
        return this.#moved(said.topic, said, true) && this.#emit('position', said);
      case 'RESET':
        if (!this.#topics.has(said.topic)) return undefined;
        this.#topics.set(said.topic, { position: said.position, offset: 0 });
        return this.#emit('reset', said);
      case 'SIGNAL':
        return this.#topics.has(said.topic) && this.#emit('signal', said);
      case 'UNSUBSCRIBED':
        return this.#topics.delete(said.topic) && this.#emit('unsubscribed', said);
      case 'RECONNECT':
        this.#leaveAt = Date.now() + said.afterMs;
        return this.#timer('leave', () => this.#lost(null, 0), said.afterMs);
      case 'TERMINATE_CONNECTION':
        return this.#terminated(said.text);
      case 'PONG':
        return said.ref === '0' && this.#greeted();
      case 'ERROR':
        if (said.ref === '0') return this.#lost(null, said.retryAfterMs);
        return this.#answer(said.ref, null, new AntiphonError(said.code, said.text, said.retryAfterMs));
      case 'ACCEPTED':
      case 'HISTORY':
      case 'PRESENCE':
      case 'SUBSCRIPTION_SUCCESSFUL':
      case 'UNSUBSCRIPTION_SUCCESSFUL':
        return this.#answer(said.ref, said);
      default:
        return this.#emit('plain', text);
    }
  }

  /** Moves a topic on; false: this was seen before, or nobody asked for it. */
  #moved(topic, { position, offset }, same = false) {
    const stream = this.#topics.get(topic);
    if (!stream || offset < stream.offset || (offset === stream.offset && !same)) return false;
    Object.assign(stream, { position, offset });
    return true;
  }

  #began(said, positions = {}) {
    for (const [topic, begun] of Object.entries(said.topics)) {
      const position = positions[topic] ?? begun.position;
      if (!begun.error && !this.#topics.has(topic)) this.#topics.set(topic, { position, offset: 0 });
    }
  }

  #resume(topics) {
    for (let i = 0; i < topics.length; i += TOPICS_A_FRAME) {
      const some = topics.slice(i, i + TOPICS_A_FRAME).filter((topic) => this.#topics.has(topic));
      if (!some.length) continue;
      const positions = Object.fromEntries(some.map((topic) => [topic, this.#topics.get(topic).position]));
      this.#resumeNow({ type: 'SUBSCRIBE', topics: some, positions, ref: `r${this.#refs++}` });
    }
  }

  #resumeNow(frame) {
    const socket = this.#socket;
    const settled = (outcomes) => {
      if (socket !== this.#socket) return;
      for (const [topic, { error }] of Object.entries(outcomes)) {
        if (!error) continue;
        if (error.retryAfterMs !== undefined) {
          setTimeout(() => socket === this.#socket && this.#resume([topic]), error.retryAfterMs);
        } else if (this.#topics.delete(topic)) {
          this.#emit('unsubscribed', { topic, reason: error.code });
        }
      }
      this.#emit('resumed', { topics: outcomes });
    };
    const resolve = (said) => settled(said.topics);
    const reject = (error) => settled(Object.fromEntries(frame.topics.map((topic) => [topic, { error }])));
    // A resumption is made anew on the next connection, so it is not said again there.
    this.#waiting.set(frame.ref, { frame, resolve, reject, deadline: 0, timer: null });
    this.#say(frame);
  }

  // ---- servants

  #become(state, detail) {
    this.state = state;
    if (state === 'open') this.url = detail.url;
    if (state !== 'open') {
      for (const ref of [...this.#waiting.keys()]) if (ref.startsWith('r')) this.#waiting.delete(ref);
    }
    this.#emit('state', { state, ...detail });
  }

  #emit(type, detail) {
    return this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #timer(name, run, ms) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    if (run) this.#timers.set(name, setTimeout(run, ms));
  }
}
