// Compiled only: what an application may write, and what it may not.

import { AntiphonError, Client, type ErrorCode, type Message, type PositionStore } from 'antiphon';
import { useConnectionState, useSubscription } from 'antiphon/react';

const positions: PositionStore = {
  get: (topic) => localStorage.getItem(topic),
  set: (topic, position) => localStorage.setItem(topic, position),
};
export const client = new Client({ url: '/ws', token: async () => 'token', positions, WebSocket, backoff: { capMs: 5 } });

export async function use(): Promise<void> {
  const news = await client.subscribe(['news', 'weather'], {
    message: (message) => console.log(message.entry.topic, message.text ?? message.body),
    reset: ({ reason }) => console.log(reason === 'FORK'),
  });
  const start = news.topics.get('news');
  if (start instanceof AntiphonError) console.log(start.code satisfies ErrorCode);
  else console.log(start?.position);
  const { id, duplicate } = await client.publish({ topic: 'news', body: { n: 1 } });
  console.log(id.length, duplicate ? 1 : 0);
  for await (const { entries } of client.pages({ topic: 'news' })) entries.forEach((entry: Message) => entry.offset);
  client.state.subscribe((state) => {
    if (state.name === 'waiting') console.log(new Date(state.retryAt));
    // @ts-expect-error Only who waits has a time for the next try.
    if (state.name === 'online') console.log(state.retryAt);
  });
  // @ts-expect-error A draft has no such field.
  await client.publish({ text: 'x', project: 'p' });
  // @ts-expect-error There is no such handler.
  await client.subscribe('news', { onMessage: () => {} });
  // @ts-expect-error A client needs an address.
  new Client({ token: 'x' });
}

export function Component(): string {
  const { error, subscription } = useSubscription(client, null, { message: ({ text }) => text });
  return `${useConnectionState(client).name} ${error?.code} ${subscription?.tenant}`;
}
