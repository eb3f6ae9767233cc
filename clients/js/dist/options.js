// How a client is set up: every bound with its default.
import { address } from './address.js';
import { invalid } from './error.js';
import { onlyFields } from './ask.js';
const DEFAULTS = {
    connectTimeoutMs: 10_000,
    pingEveryMs: 15_000,
    silenceTimeoutMs: 10_000,
    askTimeoutMs: 30_000,
    asksMax: 256,
    publishTimeoutMs: 600_000,
    publishQueueMax: 1000,
    publishQueueBytesMax: 8 * 1024 * 1024,
    publishWindow: 1,
    inboxMax: 1000,
    inboxBytesMax: 4 * 1024 * 1024,
    handoverTimeoutMs: 10_000,
    socketBytesMax: 1024 * 1024,
};
const BACKOFF = { baseMs: 250, capMs: 30_000, stableMs: 30_000 };
const OTHERS = ['url', 'token', 'positions', 'WebSocket', 'backoff', 'onError', 'random'];
/** Checks the options and fills in what was left out. */
export function settings(options) {
    onlyFields('options', options, [...OTHERS, ...Object.keys(DEFAULTS)]);
    const { url, token, positions, onError, random = Math.random } = options;
    if (token !== undefined && typeof token !== 'function' && (typeof token !== 'string' || token === '')) {
        throw invalid('token: neither a text nor a function');
    }
    if (positions !== undefined && (typeof positions?.get !== 'function' || typeof positions.set !== 'function')) {
        throw invalid('positions: it needs the functions get and set');
    }
    for (const [name, value] of Object.entries({ onError, random })) {
        if (value !== undefined && typeof value !== 'function')
            throw invalid(`${name}: not a function`);
    }
    const WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (typeof WebSocket !== 'function') {
        throw invalid('WebSocket: this platform has none; give a constructor, as that of the package ws');
    }
    const urls = typeof url === 'function' ? () => addresses(url()) : constant(addresses(url));
    if (options.backoff !== undefined)
        onlyFields('backoff', options.backoff, Object.keys(BACKOFF));
    const backoff = bounds('backoff.', BACKOFF, options.backoff ?? {});
    const numbers = bounds('', DEFAULTS, options);
    const report = onError ?? ((error) => console.error('antiphon:', error));
    return { ...numbers, urls, token, positions, WebSocket, backoff, onError: guarded(report), random };
}
const constant = (value) => () => value;
function addresses(url) {
    const urls = (Array.isArray(url) ? url : [url]).map(address);
    if (!urls.length)
        throw invalid('url: there is none');
    return urls;
}
function bounds(what, defaults, given) {
    const filled = { ...defaults };
    for (const name of Object.keys(defaults)) {
        const value = given[name];
        if (value === undefined)
            continue;
        const least = name.endsWith('Max') || name === 'publishWindow' ? 1 : 0;
        if (typeof value !== 'number' || !(value >= least)) {
            throw invalid(`${what}${name}: ${String(value)} is not a number from ${least}`);
        }
        filled[name] = value;
    }
    return filled;
}
const guarded = (report) => (error) => {
    try {
        report(error);
    }
    catch {
        // Who can't hear of errors is not told of one more.
    }
};
