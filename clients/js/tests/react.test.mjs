// The hooks, in a strict React, which mounts everything twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement, StrictMode } from 'react';
import { act, create } from 'react-test-renderer';
import { useConnectionState, useSubscription } from '../dist/react.js';
import { connected, entry, turn } from './support/fake.mjs';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

function News({ client, topic, onMessage }) {
  const state = useConnectionState(client);
  const { subscription, error } = useSubscription(client, topic, { message: onMessage });
  return `${state.name} ${subscription?.userId ?? error?.code ?? 'not yet'}`;
}

const drawn = (client, topic, onMessage) =>
  createElement(StrictMode, null, createElement(News, { client, topic, onMessage }));

// The renderer for tests says of itself that it is deprecated.
const quiet = (t) => t.mock.method(console, 'error', () => {});

async function mounted(t) {
  quiet(t);
  const ground = await connected(t);
  const got = [];
  let root;
  await act(async () => {
    root = create(drawn(ground.client, 'news', (message) => got.push(message.text)));
    await turn();
  });
  const [socket] = ground.opened;
  await act(async () => {
    socket.all('SUBSCRIBE').forEach((ask) => socket.begin({ ask }));
    await turn();
  });
  return { ...ground, got, root, socket };
}

test('a component is subscribed while it is there, once, also where it is mounted twice', async (t) => {
  const { got, root, socket } = await mounted(t);
  assert.equal(root.toJSON(), 'online ann');
  socket.hear(entry(1));
  assert.deepEqual(got, ['1']);
  assert.equal(socket.all('SUBSCRIBE').length - socket.all('UNSUBSCRIBE').length, 1);
  await act(async () => root.unmount());
  assert.equal(socket.all('SUBSCRIBE').length, socket.all('UNSUBSCRIBE').length);
  socket.hear(entry(2));
  assert.deepEqual(got, ['1']);
});

test('the handlers of the last drawing are called, without another subscription', async (t) => {
  const { client, root, socket } = await mounted(t);
  const asked = socket.all('SUBSCRIBE').length;
  const later = [];
  await act(async () => root.update(drawn(client, 'news', (message) => later.push(message.text))));
  socket.hear(entry(1));
  assert.deepEqual([later, socket.all('SUBSCRIBE').length], [['1'], asked]);
});

test('another topic is another subscription, and a refusal is shown', async (t) => {
  const { client, root, socket } = await mounted(t);
  await act(async () => {
    root.update(drawn(client, 'secret', () => {}));
    await turn();
  });
  assert.equal(root.toJSON(), 'online not yet');
  await act(async () => {
    socket.hear({ type: 'ERROR', ref: socket.last('SUBSCRIBE').ref, topic: 'secret', code: 'FORBIDDEN', text: 'no' });
    await turn();
  });
  assert.equal(root.toJSON(), 'online FORBIDDEN');
});

test('the state of the connection is drawn', async (t) => {
  const { root, socket } = await mounted(t);
  await act(async () => socket.drop());
  assert.equal(root.toJSON(), 'waiting ann');
});
