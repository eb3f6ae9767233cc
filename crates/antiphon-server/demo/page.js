// What the parts of the demo page share: the state of the demo, and how elements are made.

/** What GET /demo/state said last: {tenant, projects, users, nodes, cluster}. */
export const demo = { tenant: '', projects: [], users: [], nodes: [], cluster: 0 };

/** Asks for the state of the demo, at the control port that outlives the nodes. */
export async function readState() {
  const answer = await fetch('/demo/state', { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  Object.assign(demo, await answer.json());
}

/** The address of a node's socket. */
export const socketOf = (node) => `${node.url.replace(/^http/, 'ws').replace(/\/$/, '')}/ws`;
export const nodeAt = (socketUrl) => demo.nodes.find((node) => socketOf(node) === socketUrl);

export const $ = (selector, within = document) => within.querySelector(selector);
export const copy = (id) => $(`#${id}`).content.firstElementChild.cloneNode(true);

/** An element with attributes (`data-` ones under `data`) and children. */
export function make(tag, { data = {}, ...attributes } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  Object.assign(element.dataset, data);
  element.append(...children.filter((child) => child !== null));
  return element;
}

let noticeTimer;
/** Says something to whoever looks at the page, for a while. */
export function notice(text) {
  const element = $('#notice');
  element.textContent = text;
  element.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (element.hidden = true), 6000);
}
