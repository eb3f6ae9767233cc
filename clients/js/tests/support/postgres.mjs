// A database of a test's own on the PostgreSQL that this run's tests share.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { program } from './server.mjs';

const run = promisify(execFile);

/** Gives `use` a migrated database; without a PostgreSQL the test is skipped, or fails where nothing may be. */
export async function withDatabase(t, use) {
  const shared = process.env.TESTKIT_POSTGRES_URL;
  if (!shared) {
    if (process.env.TESTKIT_REQUIRE) throw new Error('TESTKIT_POSTGRES_URL names no PostgreSQL');
    return t.skip('TESTKIT_POSTGRES_URL names no PostgreSQL');
  }
  const name = `antiphon_js_${process.pid}_${Date.now()}`;
  const psql = (command) => run('psql', ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--dbname', shared, '--command', command]);
  await psql(`create database ${name}`);
  try {
    const database = shared.replace(/^([a-z]+:\/\/[^/?]+)(\/[^?]*)?/, `$1/${name}`);
    await run(program, ['migrate', '--database', database]);
    return await use(database);
  } finally {
    await psql(`drop database if exists ${name} with (force)`);
  }
}
