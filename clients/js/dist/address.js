// Where a node is: its WebSocket's address, read from what people write.
import { invalid } from './error.js';
const SCHEMES = { 'ws:': 'ws:', 'http:': 'ws:', 'wss:': 'wss:', 'https:': 'wss:' };
/** Reads an address: `ws`, `wss`, `http` or `https`, in a page also relative to it; without a path it means `/ws`. */
export function address(url) {
    if (typeof url !== 'string')
        throw invalid(`url: ${String(url)} is no text`);
    const wrong = (why) => invalid(`url: ${JSON.stringify(url)}: ${why}`);
    let read;
    try {
        read = new URL(url, globalThis.location?.href);
    }
    catch {
        throw wrong('not a URL');
    }
    const scheme = SCHEMES[read.protocol];
    if (!scheme)
        throw wrong('the scheme must be ws, wss, http or https');
    if (read.username || read.password)
        throw wrong('names and passwords do not belong into it');
    const path = read.pathname === '/' && !read.search ? '/ws' : read.pathname;
    return `${scheme}//${read.host}${path}${read.search}`;
}
