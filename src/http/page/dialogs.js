// The three dialogs: for the token, for a confirmation, and what the keys do.

import { h } from './format.js';

const byId = (id) => document.getElementById(id);

/// What the dialog is closed with: 'ok', 'cancel', or '' for Escape.
function closed(dialog) {
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue), { once: true }));
}

function open(dialog) {
  dialog.returnValue = '';
  dialog.showModal();
  return closed(dialog);
}

let asking = null;

/// The token that was typed; null: none. Several who ask at one time get the same answer.
export function askForToken(why) {
  asking ??= (async () => {
    byId('token-why').textContent = why;
    const input = byId('token-input');
    input.value = '';
    try {
      return (await open(byId('token-dialog'))) === 'ok' && input.value ? input.value.trim() : null;
    } finally {
      input.value = '';
      asking = null;
    }
  })();
  return asking;
}

export async function confirmed(title, text, button) {
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  byId('confirm-ok').textContent = button;
  return (await open(byId('confirm-dialog'))) === 'ok';
}

const keys = [
  [['j', '↓'], 'next change'],
  [['k', '↑'], 'change before'],
  [['Home', 'End'], 'first, last'],
  [['Enter'], 'open it'],
  [['Esc'], 'close it, or empty the filter'],
  [['/'], 'filter by text'],
  [['Space'], 'pause or resume what is seen'],
  [['a'], 'arriving or applied'],
  [['1', '2', '3'], 'changes, tables, topics'],
  [['t'], 'colours'],
  [['?'], 'this list'],
];

export function showKeys() {
  byId('keys-list').replaceChildren(
    ...keys.flatMap(([names, what]) => [h('dt', {}, ...names.map((name) => h('kbd', {}, name))), h('dd', {}, what)]),
  );
  open(byId('keys-dialog'));
}
