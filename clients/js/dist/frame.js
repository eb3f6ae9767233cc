// The frames of the wire, as far as they are taken apart here.
/** Over it the server would close the connection. */
export const FRAME_BYTES_MAX = 64 * 1024;
/** The most topics that one SUBSCRIBE names here, so that its frame stays below the bound whatever their names are. */
export const TOPICS_A_FRAME = 50;
/** The greeting's reference. */
export const GREETING = '0';
/** Room for what is added to a frame when it is said: its `ref`. */
const REF_BYTES = 32;
const encoder = new TextEncoder();
/** The bytes of a frame when it is said. */
export const frameBytes = (frame) => encoder.encode(JSON.stringify(frame)).length + REF_BYTES;
/** Reads a text frame; null: it is no JSON object. */
export function parse(text) {
    try {
        const said = JSON.parse(text);
        return typeof said === 'object' && said !== null && !Array.isArray(said) ? said : null;
    }
    catch {
        return null;
    }
}
