// Which topics are heard: asked for on each new line from where their streams are, and handed what is said of them.
//
// With two lines side by side, a topic is heard from the old one until the new one has answered for it, and from then
// on from the new one alone: each says everything after the position that it was shown, so the offsets leave out what
// both have said. A signal has no offset: from when the new line is asked, the old one's are left out.

import { AntiphonError } from './error.js';
import type { Message, Position, Reset, Signal, Start } from './event.js';
import { TOPICS_A_FRAME, type Begun, type ServerFrame } from './frame.js';
import { Leaving } from './leaving.js';
import { refusal, type Ledger, type Outcome } from './ledger.js';
import type { Line } from './line.js';
import type { Stream, StreamOwner } from './stream.js';

/** Who waits for the first answer of a topic. */
export interface Beginning {
  begun(start: Start): void;
  refused(error: AntiphonError): void;
}

/** What SUBSCRIPTION_SUCCESSFUL tells beside its topics. */
export interface Identity {
  tenant: string;
  userId: string;
  expiresAt: number | null;
}

export class Interest implements StreamOwner {
  identity: Identity | null = null;
  #ledger: Ledger;
  #leaving: Leaving;
  #line: () => Line | null;
  #told: (line: Line, identity: Identity) => void;
  #streams = new Map<string, Stream>();
  #beginnings = new Map<Stream, Beginning>();

  constructor(ledger: Ledger, line: () => Line | null, told: (line: Line, identity: Identity) => void) {
    this.#ledger = ledger;
    this.#leaving = new Leaving(ledger, () => this.sync());
    this.#line = line;
    this.#told = told;
  }

  get size(): number {
    return this.#streams.size;
  }

  has(topic: string): boolean {
    return this.#streams.has(topic);
  }

  /** Begins a topic; it is asked for once it no longer waits. */
  add(stream: Stream, beginning: Beginning): void {
    this.#streams.set(stream.topic, stream);
    this.#beginnings.set(stream, beginning);
  }

  /** A topic can't begin. */
  refuse(stream: Stream, error: AntiphonError): void {
    const beginning = this.#beginnings.get(stream);
    this.#beginnings.delete(stream);
    if (this.#streams.get(stream.topic) === stream) this.#streams.delete(stream.topic);
    stream.end();
    beginning?.refused(error);
  }

  /** A topic whose stream a line says already, if there is one. */
  heardFrom(line: Line): string | undefined {
    return [...this.#streams.values()].find((stream) => stream.owner === line)?.topic;
  }

  /** Asks for every topic that the line was not asked for yet. */
  sync(): void {
    const line = this.#line();
    if (!line) return;
    const due = [...this.#streams.values()].filter(
      ({ topic, waits, rests, asked }) => !waits && !rests && asked !== line && !this.#leaving.has(line, topic),
    );
    for (let at = 0; at < due.length; at += TOPICS_A_FRAME) this.#ask(line, due.slice(at, at + TOPICS_A_FRAME));
  }

  /** Ends these topics; resolves once nothing more of them can come. */
  remove(streams: readonly Stream[]): Promise<void> {
    const line = this.#line();
    const said: string[] = [];
    for (const stream of streams) {
      this.#beginnings.get(stream)?.refused(new AntiphonError('CLOSED', 'the subscription was closed'));
      this.#beginnings.delete(stream);
      if (this.#streams.get(stream.topic) !== stream) continue;
      this.#streams.delete(stream.topic);
      if (line && stream.asked === line) said.push(stream.topic);
    }
    return line ? this.#leaving.end(line, said) : Promise.resolve();
  }

  /** A line has ended. */
  lost(line: Line): void {
    this.#leaving.lost(line);
  }

  /** The successor of a line has failed before it was left: it is the one that topics are heard from again. */
  back(line: Line): void {
    const moved: string[] = [];
    for (const stream of this.#streams.values()) {
      if (stream.owner === line) stream.asked = line;
      // What it has said since then was left out, so it has to begin anew.
      else if (!stream.waits && !stream.rests) moved.push(stream.topic);
    }
    void this.#leaving.end(line, moved);
  }

  /** Whether a topic is still heard from this line. */
  owes(line: Line): boolean {
    for (const stream of this.#streams.values()) if (stream.owner === line) return true;
    return false;
  }

  /** The client has ended. */
  fail(error: AntiphonError): void {
    for (const beginning of [...this.#beginnings.values()]) beginning.refused(error);
    this.#beginnings.clear();
    for (const stream of this.#streams.values()) {
      if (error.code === 'CLOSED') stream.close();
      else stream.end();
    }
    this.#streams.clear();
  }

  /** What is said of a topic; false: it is no such frame. */
  hear(line: Line, said: ServerFrame, text: string): boolean {
    switch (said.type) {
      case 'MESSAGE':
        if (typeof said.position !== 'string') return this.#plain(line, text);
        this.#message(line, said as unknown as Message, text);
        return true;
      case 'POSITION':
        this.#heard(line, said.topic)?.moved(pick(said, 'topic', 'position', 'offset') as Position);
        return true;
      case 'RESET':
        this.#heard(line, said.topic)?.reset(pick(said, 'topic', 'reason', 'position') as Reset);
        return true;
      case 'SIGNAL': {
        const stream = this.#heard(line, said.topic);
        const signal = pick(said, 'text', 'body', 'topic', 'userId', 'projectId') as Signal;
        if (stream?.asked === line) stream.beside('signal', signal, text.length);
        return true;
      }
      case 'UNSUBSCRIBED': {
        const stream = this.#heard(line, said.topic);
        if (stream) this.#end(stream, said.reason);
        return true;
      }
      case 'ACCEPTED':
      case 'ERROR':
      case 'HISTORY':
      case 'PRESENCE':
      case 'PONG':
      case 'SUBSCRIPTION_SUCCESSFUL':
      case 'UNSUBSCRIPTION_SUCCESSFUL':
        return false;
      default:
        return this.#plain(line, text);
    }
  }

  hasRoom(): void {
    this.sync();
  }

  failed(stream: Stream): void {
    void this.remove([stream]);
  }

  #heard(line: Line, topic: string): Stream | null {
    const stream = this.#streams.get(topic);
    return stream?.owner === line ? stream : null;
  }

  #message(line: Line, message: Message, text: string): void {
    const stream = this.#heard(line, message.entry.topic);
    if (!stream || stream.message(message, text.length)) return;
    // It rests until its inbox has room, and then goes on from what it has taken.
    const lines = new Set([line, stream.asked ?? line]);
    stream.rests = true;
    stream.owner = null;
    stream.asked = null;
    for (const each of lines) void this.#leaving.end(each, [stream.topic]);
  }

  #plain(line: Line, text: string): true {
    if (this.identity) this.#heard(line, this.identity.tenant)?.beside('plain', text, text.length);
    return true;
  }

  #ask(line: Line, streams: readonly Stream[]): void {
    const topics = streams.map(({ topic }) => topic);
    const known = streams.filter(({ position }) => position !== null);
    const positions = Object.fromEntries(known.map(({ topic, position }) => [topic, position]));
    for (const stream of streams) stream.asked = line;
    const frame = { type: 'SUBSCRIBE', topics, ...(known.length && { positions }) };
    this.#ledger.say(line, frame, (outcome) => this.#settled(line, streams, outcome));
  }

  #settled(line: Line, streams: readonly Stream[], outcome: Outcome): void {
    const live = streams.filter((stream) => this.#streams.get(stream.topic) === stream && stream.asked === line);
    if (outcome === 'lost') {
      for (const stream of live) stream.asked = null;
      return this.sync();
    }
    if ('refused' in outcome) {
      const { code, retryAfterMs } = outcome.refused;
      // The code is that of one of them: each is asked for alone; but over the rate it is the frame's.
      const all = code === 'RATE_LIMITED' && retryAfterMs !== undefined;
      if (streams.length > 1 && !all) return live.forEach((stream) => this.#ask(line, [stream]));
      return live.forEach((stream) => this.#refused(stream, outcome.refused));
    }
    const { text: tenant, userId, expiresAt, topics } = outcome.said;
    this.identity = { tenant, userId, expiresAt };
    for (const stream of live) {
      const begun: Begun | undefined = topics[stream.topic];
      if (begun?.error) this.#refused(stream, refusal({ ...begun.error, topic: stream.topic }));
      else if (begun) this.#begin(line, stream, begun);
    }
    this.#told(line, this.identity);
  }

  #begin(line: Line, stream: Stream, { position, recovered }: Begun): void {
    stream.begin(line, position);
    this.#beginnings.get(stream)?.begun({ position, recovered });
    this.#beginnings.delete(stream);
  }

  #refused(stream: Stream, error: AntiphonError): void {
    if (error.retryAfterMs === undefined) {
      const beginning = this.#beginnings.get(stream);
      if (!beginning) return this.#end(stream, error.code);
      this.#streams.delete(stream.topic);
      this.#beginnings.delete(stream);
      stream.end();
      return beginning.refused(error);
    }
    stream.waits = true;
    stream.asked = null;
    stream.again.set(error.retryAfterMs, () => {
      stream.waits = false;
      this.sync();
    });
  }

  #end(stream: Stream, reason: string): void {
    this.#streams.delete(stream.topic);
    stream.end(reason);
  }
}

function pick(said: ServerFrame, ...fields: (keyof ServerFrame | 'body' | 'projectId')[]): unknown {
  const all = said as unknown as Record<string, unknown>;
  return Object.fromEntries(fields.filter((field) => all[field] !== undefined).map((field) => [field, all[field]]));
}
