// What is committed in dist is what TypeScript makes of src, and its types say what an application may write.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(folder, 'node_modules/typescript/bin/tsc');

async function contents(path) {
  const names = (await readdir(path)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(path, name), 'utf8')])));
}

test('dist is what `npm run build` makes of src', async () => {
  const fresh = await mkdtemp(join(tmpdir(), 'antiphon-dist-'));
  try {
    await run(process.execPath, [tsc, '--outDir', fresh], { cwd: folder });
    const [made, committed] = await Promise.all([contents(fresh), contents(join(folder, 'dist'))]);
    assert.deepEqual(Object.keys(committed), Object.keys(made), 'run `npm run build` in clients/js');
    for (const [name, text] of Object.entries(made)) {
      assert.equal(committed[name], text, `dist/${name} is out of date: run \`npm run build\` in clients/js`);
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
});

test('the types take what is meant, and nothing else', async () => {
  await run(process.execPath, [tsc, '--project', 'tests/types'], { cwd: folder }).catch((error) => {
    assert.fail(error.stdout);
  });
});

test('the package has no runtime dependencies', async () => {
  const { dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  assert.equal(dependencies, undefined);
  for (const [name, text] of Object.entries(await contents(join(folder, 'dist')))) {
    const imported = [...text.matchAll(/from '([^']+)'/g)].map(([, from]) => from).filter((from) => !from.startsWith('./'));
    assert.deepEqual(imported, name.startsWith('react.') && name.endsWith('.js') ? ['react'] : [], name);
  }
});
