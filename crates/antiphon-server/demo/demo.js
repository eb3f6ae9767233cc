// The demo page: two users on each of two nodes, the nodes with their counts, and what can be done to them.

import { $, copy, demo, notice, readState } from './page.js';
import { Pane } from './pane.js';

const LINES = [
  ['ann', 'apollo', 'Stage two is on the pad.'],
  ['cleo', 'apollo', 'Copy. Wind is below the limit.'],
  ['bob', '', 'Lunch at one?'],
  ['dan', 'borealis', 'The ice cores arrived this morning.'],
  ['ann', '', 'One is fine.'],
  ['cleo', 'borealis', 'How many survived the trip?'],
  ['dan', 'borealis', 'All forty. Not a crack.'],
  ['bob', 'apollo', 'Telemetry is green on both channels.'],
  ['dan', '', 'Can somebody open the door downstairs?'],
  ['bob', '', 'On my way.'],
  ['cleo', '', 'Did anything get lost just now?'],
];

/** One for each user. */
const panes = [];
const connections = (count) => (count === 1 ? 'connection' : 'connections');

// ---- nodes

const nodeCards = new Map();

function nodeCard(node) {
  const card = copy('node-template');
  card.dataset.node = node.id;
  $('h2', card).textContent = node.name;
  const act = (action) => async ({ target }) => {
    target.disabled = true;
    try {
      const answer = await fetch(`/demo/nodes/${node.id}/${action}`, { method: 'POST' });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      await refresh();
    } catch (error) {
      notice(`${node.name}: ${error.message}`);
    }
    target.disabled = false;
    // The button gave way to the other one.
    if (!target.checkVisibility()) $(action === 'kill' ? '.start' : '.kill', card).focus();
  };
  for (const action of ['kill', 'start']) {
    const button = $(`.${action}`, card);
    button.addEventListener('click', act(action));
    button.setAttribute('aria-label', `${button.textContent} ${node.name}`);
  }
  $('#nodes').append(card);
  nodeCards.set(node.id, card);
  return card;
}

function showNodes() {
  for (const node of demo.nodes) {
    const card = nodeCards.get(node.id) ?? nodeCard(node);
    card.dataset.up = node.up;
    $('.node-state', card).textContent = node.up ? new URL(node.url).host : 'stopped';
    $('.node-count strong', card).textContent = node.up ? node.connections : 0;
    $('.node-count span', card).textContent = connections(node.connections);
  }
  const text = `${demo.cluster} ${connections(demo.cluster)} in the cluster`;
  // Said only when it changes, for those who have it read to them.
  if ($('#cluster-state').textContent !== text) $('#cluster-state').textContent = text;
  panes.forEach((pane) => pane.nodesChanged());
}

async function refresh() {
  await readState();
  showNodes();
}

async function poll() {
  try {
    await refresh();
  } catch {
    $('#cluster-state').textContent = 'The demo has ended; start it again and reload this page.';
  }
  setTimeout(poll, 1000);
}

// ---- tools

function play() {
  const button = $('#play');
  let next = 0;
  let timer = null;
  const say = () => {
    const [user, project, text] = LINES[next++ % LINES.length];
    panes.find((pane) => pane.user.id === user)?.say(text, project);
  };
  button.addEventListener('click', () => {
    if (timer) timer = clearInterval(timer);
    else timer = setInterval(say, 700);
    button.setAttribute('aria-pressed', timer ? 'true' : 'false');
    button.textContent = timer ? 'Let them rest' : 'Let them talk';
  });
}

function theme() {
  const button = $('#theme');
  const names = ['system', 'light', 'dark'];
  const show = (name) => {
    if (name === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    localStorage.setItem('antiphon-demo-theme', name);
  };
  button.addEventListener('click', () => {
    const now = document.documentElement.dataset.theme ?? 'system';
    show(names[(names.indexOf(now) + 1) % names.length]);
  });
  const stored = localStorage.getItem('antiphon-demo-theme');
  show(names.includes(stored) ? stored : 'system');
}

theme();
await refresh();
panes.push(...demo.users.map((user) => new Pane(user)));
$('#panes').append(...panes.map((pane) => pane.element));
panes.forEach((pane) => pane.open().catch((error) => notice(`${pane.user.name}: ${error.message}`)));
play();
setTimeout(poll, 1000);
