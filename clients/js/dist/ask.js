// What this client asks: the frames of drafts and questions. What the server would only refuse later is refused here.
import { AntiphonError, invalid } from './error.js';
import { FRAME_BYTES_MAX, frameBytes } from './frame.js';
export const TOPICS_MAX = 1000;
const TOPIC_MAX = 255;
const ID_MAX = 128;
const KEY_BYTES_MAX = 255;
const SIGNAL_BYTES_MAX = 4 * 1024;
const PRINTABLE = /^[\x21-\x7e]+$/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const isId = (id) => typeof id === 'string' && PRINTABLE.test(id) && id.length <= ID_MAX;
const isKey = (key) => typeof key === 'string' && key !== '' && bytes(key) <= KEY_BYTES_MAX && !CONTROL.test(key);
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
const bytes = (text) => new TextEncoder().encode(text).length;
const shown = (value) => typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value);
/** Checks a topic's name. */
export function topicName(topic) {
    if (typeof topic !== 'string' || !PRINTABLE.test(topic) || topic.length > TOPIC_MAX) {
        throw invalid(`topic: ${shown(topic)} is not 1 to ${TOPIC_MAX} printable ASCII characters without space`);
    }
    if (topic.startsWith('$antiphon:'))
        throw invalid(`topic: ${shown(topic)} is reserved`);
    return topic;
}
/** Checks that a value has no fields but these. */
export function onlyFields(what, value, fields) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw invalid(`${what}: not an object`);
    const other = Object.keys(value).find((field) => !fields.includes(field));
    if (other !== undefined)
        throw invalid(`${what}: ${shown(other)} is not known; there are ${fields.join(', ')}`);
}
function optionalText(what, value) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
        throw invalid(`${what}: ${shown(value)} is not a text`);
    }
}
/** The frame of a draft, without its reference. */
export function draftFrame(type, draft, key) {
    onlyFields('draft', draft, ['text', 'body', 'topic', 'projectId', 'key']);
    const { text, body, topic, projectId } = draft;
    if ((text === undefined) === (body === undefined))
        throw invalid('draft: it has either text or body');
    if (text !== undefined && typeof text !== 'string')
        throw invalid('draft: text is not a string');
    if (topic !== undefined)
        topicName(topic);
    if (projectId !== undefined && !isId(projectId)) {
        throw invalid(`projectId: ${shown(projectId)} is not 1 to ${ID_MAX} printable ASCII characters without space`);
    }
    if (key !== undefined && !isKey(key)) {
        throw invalid(`key: ${shown(key)} is not 1 to ${KEY_BYTES_MAX} bytes without control characters`);
    }
    const content = json(text ?? body);
    if (type === 'SIGNAL' && bytes(content) > SIGNAL_BYTES_MAX) {
        throw new AntiphonError('TOO_LARGE', `a signal may have at most ${SIGNAL_BYTES_MAX} bytes`);
    }
    // What was serialised once is what is said, however the application changes its object afterwards.
    const said = text === undefined ? { body: JSON.parse(content) } : { text };
    return fits({ type, ...said, ...given({ topic, projectId, key }) });
}
function json(content) {
    let text;
    try {
        text = JSON.stringify(content);
    }
    catch (cause) {
        throw new AntiphonError('INVALID', 'draft: body is not JSON', { cause });
    }
    if (text === undefined)
        throw invalid('draft: body is not JSON');
    return text;
}
/** The frame of a question after the past, without its reference. */
export function historyFrame(page) {
    onlyFields('history', page, ['topic', 'before', 'after', 'limit']);
    const { topic, before, after, limit } = page;
    if (topic !== undefined)
        topicName(topic);
    optionalText('before', before);
    optionalText('after', after);
    if (before !== undefined && after !== undefined)
        throw invalid('history: it has before or after, not both');
    if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
        throw invalid(`limit: ${shown(limit)} is not 1 or more`);
    }
    return fits({ type: 'HISTORY', ...given({ topic, before, after, limit }) });
}
function fits(frame) {
    const size = frameBytes(frame);
    if (size > FRAME_BYTES_MAX) {
        throw new AntiphonError('TOO_LARGE', `a frame may have at most ${FRAME_BYTES_MAX} bytes, this one has ${size}`);
    }
    return frame;
}
/** A fresh idempotency key: a UUID, also where a page is not in a secure context and has no `randomUUID`. */
export function freshKey() {
    if (typeof crypto.randomUUID === 'function')
        return crypto.randomUUID();
    const random = crypto.getRandomValues(new Uint8Array(16));
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    const hex = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
