// Where the token comes from, and its renewal on a line that holds: shortly before it ends a fresh one is shown, and
// nothing has to be left and come back to.

import { AntiphonError } from './error.js';
import type { Settings } from './options.js';
import { Timer } from './timer.js';

/** A fifth of what is left, at most this, is the time that a renewal may take. */
const LEAD_MAX_MS = 30_000;
/** How long a renewal that came to nothing is left alone, at least. */
const AGAIN_MIN_MS = 1000;
/** A token that seems to have ended already is the clock's fault: the server took it. */
const CLOCK_IS_WRONG_MS = 30_000;

/** Asks the application for a token. */
export async function fetchToken({ token, connectTimeoutMs }: Settings): Promise<string | undefined> {
  if (typeof token !== 'function') return token;
  const late = new Timer();
  try {
    const tooLate = new Promise<never>((_, reject) => {
      late.set(connectTimeoutMs, () => reject(new Error('it did not answer in time')));
    });
    const fetched = await Promise.race([token(), tooLate]);
    if (typeof fetched !== 'string' || fetched === '') throw new Error(`it gave ${String(fetched)}, not a text`);
    return fetched;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AntiphonError('TOKEN', `the token's callback failed: ${why}`, { cause });
  } finally {
    late.clear();
  }
}

export class Renewal {
  #settings: Settings;
  #shown: () => string | undefined;
  #show: (token: string) => void;
  #timer = new Timer();
  #turn = 0;

  /** `shown` gives the token of the line that holds, `show` shows it another one. */
  constructor(settings: Settings, shown: () => string | undefined, show: (token: string) => void) {
    this.#settings = settings;
    this.#shown = shown;
    this.#show = show;
  }

  /** The server said when the token ends. */
  endsAt(expiresAt: number | null): void {
    this.stop();
    if (expiresAt === null || typeof this.#settings.token !== 'function') return;
    const left = expiresAt - Date.now();
    const wait = left <= 0 ? CLOCK_IS_WRONG_MS : left - Math.min(LEAD_MAX_MS, left / 5);
    this.#timer.set(wait, () => void this.#renew(expiresAt));
  }

  /** The server wants the token shown again after so long. */
  showAgain(ms: number): void {
    this.stop();
    this.#timer.set(ms, () => this.#show(this.#shown()!));
  }

  stop(): void {
    this.#turn += 1;
    this.#timer.clear();
  }

  async #renew(expiresAt: number): Promise<void> {
    const turn = this.#turn;
    const again = () => {
      const wait = Math.max(AGAIN_MIN_MS, (expiresAt - Date.now()) / 2);
      this.#timer.set(expiresAt > Date.now() ? wait : CLOCK_IS_WRONG_MS, () => void this.#renew(expiresAt));
    };
    try {
      const token = await fetchToken(this.#settings);
      if (turn !== this.#turn) return;
      if (token === undefined || token === this.#shown()) return again();
      this.#show(token);
    } catch (error) {
      this.#settings.onError(error);
      if (turn === this.#turn) again();
    }
  }
}
