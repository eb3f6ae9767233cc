// The JavaScript client of antiphon: connect, subscribe, publish, come back, resume. docs/guide/javascript.md is its
// page, docs/protocol.md has the frames.
export { Client } from './client.js';
export { AntiphonError } from './error.js';
