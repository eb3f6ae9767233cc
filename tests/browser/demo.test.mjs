// The demo page in a real Chromium, against the real program: what its buttons promise is what happens.
// TESTKIT_ANTIPHON names the program (else the debug build is taken), CHROMIUM the browser.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const target = fileURLToPath(new URL('../../target/', import.meta.url));
const program = process.env.TESTKIT_ANTIPHON ?? `${target}debug/antiphon`;
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const DEADLINE = 30_000;
const USERS = ['ann', 'bob', 'cleo', 'dan'];

let demo;
let browser;
let page;
const complaints = [];

/** Starts the demo and gives the URL that it prints. */
function start() {
  demo = spawn(program, ['demo', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${program} printed no URL`)), DEADLINE);
    demo.on('error', reject);
    demo.on('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
    createInterface(demo.stdout).on('line', (line) => {
      const url = line.match(/http:\/\/\S+/)?.[0];
      if (!url) return;
      clearTimeout(late);
      resolve(url);
    });
  });
}

const pane = (user) => page.locator(`.pane[data-user="${user}"]`);

async function say(user, text, project = '') {
  await pane(user).locator('select').selectOption(project);
  await pane(user).getByPlaceholder('Say something').fill(text);
  await pane(user).getByPlaceholder('Say something').press('Enter');
}

/** What a pane shows, each as its offset and text; what is still being sent is left out. */
const shown = (user) =>
  pane(user).locator('.entry[data-offset]').evaluateAll((entries) =>
    entries.map((entry) => `${entry.dataset.offset} ${entry.querySelector('.text').textContent}`));

const texts = async (user) => (await shown(user)).map((line) => line.slice(line.indexOf(' ') + 1));

const gets = (user, text) => pane(user).locator('.entry[data-offset]', { hasText: text }).waitFor();

const isAt = (user, node) => page.locator(`.pane[data-user="${user}"][data-state="online"][data-node="${node}"]`).waitFor();

const card = (node) => page.locator(`.node[data-node="${node}"]`);

before(async () => {
  mkdirSync(target, { recursive: true });
  const url = await start();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' });
  page.setDefaultTimeout(DEADLINE);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // A node that was killed on purpose is noticed by the browser too.
    const killed = /WebSocket connection|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET/.test(message.text());
    if (message.type() === 'error' && !killed) complaints.push(message.text());
  });
  await page.goto(url);
});

after(async () => {
  await browser?.close();
  demo?.removeAllListeners('exit');
  if (demo?.exitCode === null) {
    const ended = new Promise((resolve) => demo.on('exit', resolve));
    demo.kill('SIGTERM');
    await ended;
  }
});

test('every user is at the own node, and the nodes count them', async () => {
  for (const [user, node] of [['ann', 0], ['bob', 0], ['cleo', 1], ['dan', 1]]) await isAt(user, node);
  for (const node of [0, 1]) await card(node).locator('.node-count', { hasText: '2 connections' }).waitFor();
  await page.locator('#cluster-state', { hasText: '4 connections in the cluster' }).waitFor();
});

test('what one says reaches all four, on both nodes', async () => {
  await say('ann', 'Good morning, everyone.');
  await Promise.all(USERS.map((user) => gets(user, 'Good morning, everyone.')));
  await say('dan', 'Morning. The Borealis data is in.', 'borealis');
  await Promise.all(USERS.map((user) => gets(user, 'The Borealis data is in.')));
});

test('who switched a project off does not get its messages, and the others do', async () => {
  const off = page.waitForResponse((response) => response.request().method() === 'PUT');
  // By keyboard, as somebody without a mouse would.
  await pane('bob').getByRole('switch', { name: 'Apollo' }).press('Space');
  assert.ok((await off).ok());
  // The setting holds within a second on every node, so the first message that is hidden tells when.
  const hidden = async (n) => {
    await say('cleo', `Apollo ${n}: ready for the test.`, 'apollo');
    await say('cleo', `Thanks ${n}.`);
    await Promise.all(USERS.map((user) => gets(user, `Thanks ${n}.`)));
    return !(await texts('bob')).includes(`Apollo ${n}: ready for the test.`);
  };
  let n = 1;
  while (!(await hidden(n)) && n < 100) n += 1;
  assert.ok(n < 100, 'bob still gets what he does not want');
  assert.ok(await hidden(n + 1), 'what was hidden once is hidden from then on');
  for (const user of ['ann', 'cleo', 'dan']) await gets(user, `Apollo ${n + 1}: ready for the test.`);
  await pane('bob').getByRole('switch', { name: 'Apollo' }).press('Space');
});

test('a node is killed while messages flow, and nobody misses one', async () => {
  const said = [];
  for (let i = 0; i < 60; i += 1) {
    if (i === 15) await card(0).getByRole('button', { name: 'Kill Node 1' }).click({ noWaitAfter: true });
    const text = `line ${i} of the storm`;
    said.push(text);
    await say(USERS[i % 4], text);
  }
  for (const user of USERS) {
    for (const text of said) await gets(user, text);
    await isAt(user, 1);
  }
  const lists = await Promise.all(USERS.map(shown));
  const storm = lists.map((list) => list.filter((line) => line.includes('of the storm')));
  for (const list of storm) assert.deepEqual(list, storm[0]);
  assert.deepEqual(storm[0].map((line) => line.replace(/^\d+ /, '')).sort(), [...said].sort());
  for (const user of USERS) {
    const offsets = (await shown(user)).map((line) => Number.parseInt(line, 10));
    assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b), `${user} sees them out of order`);
  }
  for (const user of ['ann', 'bob']) {
    await pane(user).locator('.mark-line', { hasText: /caught up: \d+ missed entr/ }).waitFor();
  }
  await card(0).locator('.node-state', { hasText: 'stopped' }).waitFor();
  await card(1).locator('.node-count', { hasText: '4 connections' }).waitFor();
});

test('a node that was killed comes back, and carries all when the other one is killed', async () => {
  await card(0).getByRole('button', { name: 'Bring back Node 1' }).click();
  await page.locator('.node[data-node="0"][data-up="true"]').waitFor();
  await card(1).getByRole('button', { name: 'Kill Node 2' }).click();
  await say('dan', 'Still here, on the other side.');
  for (const user of USERS) {
    await isAt(user, 0);
    await gets(user, 'Still here, on the other side.');
  }
  await card(1).getByRole('button', { name: 'Bring back Node 2' }).click();
  await page.locator('.node[data-node="1"][data-up="true"]').waitFor();
  const lists = await Promise.all(USERS.map(shown));
  for (const list of lists) assert.equal(new Set(list).size, list.length, 'something came twice');
});

test('a page that is loaded again shows what was said before', async () => {
  await page.reload();
  for (const user of USERS) await gets(user, 'Still here, on the other side.');
  await say('bob', 'Back after a reload.', 'borealis');
  await Promise.all(USERS.map((user) => gets(user, 'Back after a reload.')));
});

test('a user moves to the other node by a button', async () => {
  for (const user of ['cleo', 'dan']) await isAt(user, 1);
  await page.getByRole('button', { name: 'Move Cleo to Node 1' }).click();
  await isAt('cleo', 0);
  await page.getByRole('button', { name: 'Move Cleo to Node 2' }).click();
  await isAt('cleo', 1);
});

test('they talk by themselves while a node is killed, and it fits wide and narrow windows, light and dark', async () => {
  const entries = page.locator('.pane[data-user="ann"] .entry[data-offset]');
  const talked = async (n) => {
    const wanted = (await entries.count()) + n;
    await page.waitForFunction(
      (count) => document.querySelectorAll('.pane[data-user="ann"] .entry[data-offset]').length >= count, wanted);
  };
  await page.getByRole('button', { name: 'Let them talk' }).click();
  await talked(6);
  await card(0).getByRole('button', { name: 'Kill Node 1' }).click();
  await talked(3);
  await page.getByRole('button', { name: 'Let them rest' }).click();
  for (const user of USERS) await isAt(user, 1);
  await page.locator('#cluster-state', { hasText: '4 connections' }).waitFor();
  for (const [width, height] of [[1280, 860], [800, 1150]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wider <= 0, `the page is ${wider} px too wide at ${width}`);
      const below = await page.locator('.log').evaluateAll((logs) =>
        logs.map((log) => Math.round(log.scrollHeight - log.scrollTop - log.clientHeight)));
      assert.ok(below.every((px) => px < 60), `the newest entries are out of sight at ${width}: ${below}`);
      await page.screenshot({ path: `${target}demo-${width}-${colorScheme}.png` });
    }
  }
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.getByRole('button', { name: 'Colour theme' }).click();
  assert.notEqual(await background(), dark, 'the switch for the theme does nothing');
});

test('the browser had nothing to complain about', () => {
  assert.deepEqual(complaints, []);
});
