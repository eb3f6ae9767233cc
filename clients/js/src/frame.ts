// The frames of the wire, as far as they are taken apart here.

/** A frame of this client; its fields are those of the protocol. */
export type ClientFrame = { type: string } & Record<string, unknown>;

/** A topic's place in SUBSCRIPTION_SUCCESSFUL. */
export interface Begun {
  position: string;
  recovered: boolean;
  error?: { code: string; text: string; retryAfterMs?: number };
}

/** A frame of the server. What a type does not have is not looked at. */
export interface ServerFrame {
  type: string;
  ref?: string;
  text: string;
  topic: string;
  topics: Record<string, Begun>;
  userId: string;
  expiresAt: number | null;
  position: string;
  offset: number;
  entry: { id: string; topic: string };
  entries: unknown[];
  more: boolean;
  users: string[];
  duplicate?: boolean;
  reason: string;
  code: string;
  retryAfterMs?: number;
  afterMs: number;
}

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
export const frameBytes = (frame: ClientFrame): number => encoder.encode(JSON.stringify(frame)).length + REF_BYTES;

/** Reads a text frame; null: it is no JSON object. */
export function parse(text: string): ServerFrame | null {
  try {
    const said: unknown = JSON.parse(text);
    return typeof said === 'object' && said !== null && !Array.isArray(said) ? (said as ServerFrame) : null;
  } catch {
    return null;
  }
}
