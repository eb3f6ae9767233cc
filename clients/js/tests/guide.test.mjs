// The code of docs/guide/javascript.md, run as it stands there but for the addresses.

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import typescript from 'typescript';
import { Heard, WebSocket } from './support/client.mjs';
import { startServer, tokenOf } from './support/server.mjs';

const page = await readFile(new URL('../../../docs/guide/javascript.md', import.meta.url), 'utf8');
const blocks = (language) => [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter(([, of]) => of === language).map(([, , code]) => code);
let server;
let files = 0;

before(async () => (server = await startServer()));
after(() => server?.stop());

/** Runs code as a module of this package, with these names at hand, and gives its client. */
async function run(code, names) {
  globalThis.guide = names;
  const file = fileURLToPath(new URL(`../.guide-${process.pid}-${(files += 1)}.mjs`, import.meta.url));
  const head = `const { ${Object.keys(names).join(', ')} } = globalThis.guide;\n`;
  await writeFile(file, `${head}${code}\nexport { client };\n`);
  try {
    return (await import(pathToFileURL(file))).client;
  } finally {
    await rm(file);
  }
}

test('ten lines for a page', async () => {
  const [code] = blocks('js');
  assert.ok(code.trim().split('\n').length <= 12);
  const added = new Heard();
  const states = [];
  const token = await tokenOf(server, 'guide', 'ann');
  const fetch = async () => ({ text: async () => token });
  const own = globalThis.WebSocket;
  globalThis.WebSocket = WebSocket;
  try {
    const show = ({ name }) => states.push(name);
    const add = (...said) => added.push(said);
    const client = await run(code.replace('wss://realtime.example.com', server.url), { fetch, show, add });
    assert.deepEqual(await added.until(({ length }) => length === 1), [['Hello', 'ann']]);
    client.close();
    assert.deepEqual(states, ['online', 'closed']);
  } finally {
    globalThis.WebSocket = own;
  }
});

test('ten lines for Node', async () => {
  const [, code] = blocks('js');
  assert.ok(code.trim().split('\n').length <= 12);
  const kept = new Map();
  const booked = new Heard();
  const looked = [];
  const client = await run(code.replace('http://127.0.0.1:8080', server.url), {
    token: await tokenOf(server, 'guide', 'ben'),
    store: { get: (topic) => kept.get(topic), set: (topic, position) => kept.set(topic, position) },
    book: (body) => booked.push(body),
    loadAfresh: () => assert.fail('there is no cause for it'),
    look: (entries) => looked.push(entries),
  });
  const { position } = await client.publish({ topic: 'orders', body: { order: 7 } });
  assert.deepEqual(await booked.until(({ length }) => length === 1), [{ order: 7 }]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(kept.get('orders'), position);
  assert.deepEqual(looked, [[]]);
  process.emit('SIGTERM');
  assert.equal(client.state.value.name, 'closed');
});

test('the component can be read', () => {
  const [code] = blocks('jsx');
  const { diagnostics } = typescript.transpileModule(code, {
    reportDiagnostics: true,
    fileName: 'news.jsx',
    compilerOptions: { jsx: typescript.JsxEmit.ReactJSX, target: typescript.ScriptTarget.ES2022 },
  });
  assert.deepEqual(diagnostics.map(({ messageText }) => messageText), []);
});
