// A real node for tests: `antiphon serve` on a database and a port of its own, a key for its API, tokens for its users.
// TESTKIT_ANTIPHON names the program, else the debug build is taken.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
export const program = process.env.TESTKIT_ANTIPHON ?? join(root, 'target/debug/antiphon');
const START_TIMEOUT_MS = 30_000;

/** The first URL that a process prints. */
export function printedUrl(child) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${program} printed no address`)), START_TIMEOUT_MS);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
    createInterface(child.stdout).on('line', (line) => {
      const url = line.match(/http:\/\/\S+/)?.[0];
      if (!url) return;
      clearTimeout(late);
      resolve(url.replace(/\/$/, ''));
    });
  });
}

/** Starts a node; without a database on a SQLite file of its own. */
export async function startServer({ database, args = [] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-js-'));
  const store = database ?? `sqlite:${join(folder, 'antiphon.db')}`;
  const unlimited = args.includes('--rate-limit') ? [] : ['--rate-limit', '0'];
  const server = {};
  const start = async (listen) => {
    const serve = ['serve', '--listen', listen, '--database', store, '--log-level', 'error', ...unlimited];
    server.child = spawn(program, [...serve, ...args], { stdio: ['ignore', 'pipe', 'inherit'], cwd: folder });
    const { child } = server;
    server.ended = new Promise((resolve) => child.once('exit', resolve));
    server.url = await printedUrl(child);
  };
  await start('127.0.0.1:0');
  const { stdout: key } = await run(program, ['key', 'issue', '--database', store], { cwd: folder });
  server.api = api(server.url, key.trim());
  /** Ends it; gives its exit code. */
  server.end = (signal = 'SIGKILL') => {
    const { child } = server;
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return server.ended;
  };
  /** Starts it again where it was. */
  server.start = () => start(new URL(server.url).host);
  server.stop = async (signal) => {
    const code = await server.end(signal);
    await rm(folder, { recursive: true, force: true });
    return code;
  };
  return server;
}

/** The HTTP API with a key: gives the answer's JSON, and throws on all but 2xx. */
function api(url, key) {
  return async (method, path, body) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
    const answer = await fetch(`${url}/api/v1${path}`, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };
}

/** A fresh token of a user. */
export async function tokenOf(server, tenant, user, ttlSeconds = 600) {
  const path = `/tenants/${encodeURIComponent(tenant)}/users/${encodeURIComponent(user)}/tokens`;
  return (await server.api('POST', path, { ttlSeconds })).token;
}
