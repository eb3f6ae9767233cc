// A pane of the demo page: one user with a client of its own, what it hears, says and wants to hear.

import { Client } from './antiphon/index.js';
import { $, copy, demo, make, nodeAt, notice, socketOf } from './page.js';

const nameOf = (list, id) => list.find((item) => item.id === id)?.name ?? id;

export class Pane {
  constructor(user) {
    this.user = user;
    this.topic = demo.tenant;
    this.pending = new Map();
    this.back = null;
    /** The last offset that was heard, and the node that it was heard from. */
    this.offset = 0;
    this.url = null;
    this.atEnd = true;
    this.element = copy('pane-template');
    this.element.dataset.user = user.id;
    this.log = $('.log', this.element);
    this.#dress();
    const urls = demo.nodes.toSorted((a, b) => (b.id === user.node) - (a.id === user.node)).map(socketOf);
    this.client = new Client({ url: urls, token: user.token, backoff: { capMs: 2000 } });
    this.client.state.subscribe((state) => this.#state(state));
  }

  /** Connects to the user's own node, and shows what was said before. */
  async open() {
    this.client.connect();
    await Promise.all([this.#subscribe(), this.#readSettings()]);
  }

  async #subscribe() {
    const { tenant } = await this.client.subscribe(null, {
      message: (message) => this.#message(message),
      position: ({ offset }) => this.#moved(offset),
      reset: ({ reason }) => this.#mark('reset', `history restarted (${reason})`),
    });
    this.topic = tenant;
    const { entries } = await this.client.history({ topic: this.topic, limit: 50 });
    entries.forEach((entry) => this.#show(entry));
    this.#offset();
  }

  #dress() {
    const { name, id } = this.user;
    const heading = $('h2', this.element);
    heading.textContent = name;
    heading.id = `name-${id}`;
    this.element.setAttribute('aria-labelledby', heading.id);
    this.log.setAttribute('aria-label', `Messages that ${name} gets`);
    this.log.append(make('li', { className: 'empty', textContent: 'Nothing was said yet.' }));
    $('.avatar', this.element).textContent = name[0];
    this.form = $('form', this.element);
    for (const label of this.form.querySelectorAll('label')) {
      const field = this.form.elements[label.dataset.for];
      field.id = label.htmlFor = `${label.dataset.for}-${id}`;
    }
    const select = this.form.elements.project;
    select.append(...demo.projects.map(({ id: value, name: text }) => new Option(text, value)));
    select.addEventListener('change', () => (select.dataset.project = select.value));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      const field = this.form.elements.text;
      if (field.value.trim()) this.say(field.value.trim(), select.value);
      field.value = '';
    });
    for (const project of demo.projects) $('.settings', this.element).append(this.#switch(project));
    $('.move', this.element).addEventListener('click', () => this.client.moveTo(socketOf(this.#other())));
    this.#stayAtEnd();
  }

  /** A log that was at its end stays there when its size changes; a scroll that comes of the change says nothing. */
  #stayAtEnd() {
    const { log } = this;
    const size = () => `${log.clientWidth} ${log.clientHeight}`;
    let known = '';
    new ResizeObserver(() => {
      known = size();
      if (this.atEnd) log.scrollTop = log.scrollHeight;
    }).observe(log);
    log.addEventListener('scroll', () => size() === known && (this.atEnd = this.#isAtEnd()));
  }

  #isAtEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
  }

  #other() {
    return demo.nodes.find((node) => node.up && socketOf(node) !== this.url);
  }

  /** Offers to move to another node if one is up. */
  nodesChanged() {
    const other = this.#other();
    const button = $('.move', this.element);
    button.hidden = this.client.state.value.name !== 'online' || !other;
    if (other) button.setAttribute('aria-label', `Move ${this.user.name} to ${other.name}`);
  }

  // ---- settings of a project

  #switch(project) {
    const label = copy('switch-template');
    label.dataset.project = project.id;
    $('.name', label).textContent = project.name;
    const box = $('input', label);
    box.addEventListener('change', async () => {
      try {
        await this.#settings(project, { method: 'PUT', body: { deliver: box.checked, push: box.checked } });
      } catch (error) {
        box.checked = !box.checked;
        notice(`The settings of ${this.user.name} for ${project.name} were not changed: ${error.message}`);
      }
    });
    return label;
  }

  async #readSettings() {
    for (const project of demo.projects) {
      const settings = await this.#settings(project, { method: 'GET' }).catch(() => null);
      if (settings) $(`.settings [data-project="${project.id}"] input`, this.element).checked = settings.deliver;
    }
  }

  hears(project) {
    const box = project && $(`.settings [data-project="${project}"] input`, this.element);
    return !box || box.checked;
  }

  /** Asks the node of this pane first, then the others. */
  async #settings(project, { method, body }) {
    const here = nodeAt(this.url);
    const nodes = demo.nodes.toSorted((a, b) => (b === here) - (a === here) || b.up - a.up);
    const member = `members/${encodeURIComponent(this.user.id)}/settings`;
    const path = `/api/v1/tenants/${demo.tenant}/projects/${encodeURIComponent(project.id)}/${member}`;
    let failure;
    for (const node of nodes) {
      try {
        const headers = { authorization: `Bearer ${this.user.token}`, 'content-type': 'application/json' };
        const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(5000) };
        const answer = await fetch(node.url.replace(/\/$/, '') + path, request);
        if (answer.ok) return answer.status === 204 ? null : await answer.json();
        failure = new Error(`status ${answer.status}`);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  // ---- saying

  async say(text, projectId) {
    const key = crypto.randomUUID();
    const entry = { userId: this.user.id, projectId: projectId || null };
    const shown = this.#bubble({ text, entry, key });
    this.pending.set(key, shown);
    this.#append(shown, true);
    try {
      await this.client.publish({ text, key, topic: this.topic, ...(projectId && { projectId }) });
      if (!this.hears(projectId)) this.#settle(key);
    } catch (error) {
      this.#settle(key);
      notice(`${this.user.name}'s message was not sent: ${error.message}`);
    }
  }

  #settle(key) {
    this.pending.get(key)?.remove();
    this.pending.delete(key);
  }

  // ---- hearing

  #message(frame) {
    // What this user said itself meanwhile was not missed.
    const missed = this.back !== null && !this.pending.has(frame.key);
    this.#show(frame, missed);
    if (missed) this.back.count += 1;
    this.#moved(frame.offset);
    if (this.back) this.#caughtUp();
  }

  #show(frame, missed = false) {
    if (frame.key) this.#settle(frame.key);
    if ($(`[data-offset="${frame.offset}"]`, this.log)) return;
    const shown = this.#bubble(frame);
    if (missed) shown.dataset.missed = '';
    const after = [...this.log.querySelectorAll('[data-offset]')].find((other) => other.dataset.offset > frame.offset);
    if (after) after.before(shown);
    else this.#append(shown, frame.entry.userId === this.user.id);
  }

  #bubble({ text, body, entry, offset }) {
    const project = entry.projectId;
    const number = offset === undefined ? 'sending' : `#${offset}`;
    const by = make('div', { className: 'by' },
      make('b', { textContent: entry.userId ? nameOf(demo.users, entry.userId) : 'Application' }),
      project ? make('span', { className: 'chip', data: { project }, textContent: nameOf(demo.projects, project) }) : null,
      make('span', { className: 'number', textContent: number }));
    const data = offset === undefined ? { pending: '' } : { offset };
    if (entry.userId === this.user.id) data.own = '';
    return make('li', { className: 'entry', data }, by,
      make('div', { className: 'text', textContent: text ?? JSON.stringify(body) }));
  }

  #append(element, always = false) {
    this.atEnd = always || this.#isAtEnd();
    $('.empty', this.log)?.remove();
    const firstPending = element.dataset.pending === undefined && $('[data-pending]', this.log);
    if (firstPending) firstPending.before(element);
    else this.log.append(element);
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  #mark(kind, text) {
    const element = make('li', { className: 'mark-line', data: { kind }, textContent: text });
    this.#append(element);
    return element;
  }

  #moved(offset) {
    this.offset = offset;
    this.#offset();
  }

  #offset() {
    const shown = [...this.log.querySelectorAll('[data-offset]')].at(-1)?.dataset.offset ?? 0;
    this.element.dataset.offset = Math.max(this.offset, shown);
    $('.offset strong', this.element).textContent = this.element.dataset.offset;
  }

  // ---- leaving and coming back

  #state({ name, url, error }) {
    const before = this.element.dataset.state;
    const left = nodeAt(this.url);
    const node = nodeAt(url);
    this.element.dataset.state = name;
    if (before === 'online' && name !== 'online') {
      this.back = null;
      this.#mark('lost', `lost ${left?.name}`);
    }
    if (name === 'closed') this.#mark('end', `signed out (${error.code})`);
    if (name === 'online') {
      this.url = url;
      this.element.dataset.node = node?.id;
      if (before === 'online') this.#mark('back', `moved to ${node?.name}, without a gap`);
      else if (left) this.#resumed();
    }
    const words = { online: `on ${node?.name}`, connecting: `trying ${node?.name}`, waiting: 'coming back', closed: 'signed out' };
    $('.link span', this.element).textContent = words[name];
    this.nodesChanged();
  }

  /** The stream goes on: whatever comes up to the newest entry of now was missed. */
  async #resumed() {
    const name = nodeAt(this.url)?.name;
    const back = { count: 0, head: null, line: this.#mark('back', `on ${name}, catching up`) };
    this.back = back;
    try {
      const { entries } = await this.client.history({ topic: this.topic, limit: 1 });
      back.head = entries.at(-1)?.offset ?? 0;
    } catch {
      back.head = 0;
    }
    if (this.back === back) this.#caughtUp();
  }

  #caughtUp() {
    const { count, head, line } = this.back;
    if (head === null || this.offset < head && Number(this.element.dataset.offset) < head) return;
    this.back = null;
    line.textContent = `caught up: ${count} missed ${count === 1 ? 'entry' : 'entries'}`;
    line.dataset.missedCount = count;
  }
}
