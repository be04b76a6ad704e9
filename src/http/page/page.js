// Puts the page together: views, keys, filters, and when to ask the daemon for what.

import { request } from './api.js';
import { showKeys } from './dialogs.js';
import { ChangeLog, operations } from './feed.js';
import { area, count, duration, h, plural, rate, setText } from './format.js';
import { Inspector } from './inspector.js';
import { ChangeList } from './list.js';
import { Stream } from './stream.js';
import { Tables } from './tables.js';
import { Topics } from './topics.js';

const statusEvery = 1500;
const topicsEvery = 3000;
const pulseLength = 60; // seconds
const byId = (id) => document.getElementById(id);

const log = new ChangeLog();
const filter = { table: '', ops: new Set(Object.keys(operations)), text: '' };
const inspector = new Inspector({
  onClose: (change) => {
    coverPage();
    list.opened(null);
    focusAfterInspector(change);
  },
});
const list = new ChangeList(log, { filter, onSeeing: tellSeeing, onOpen: openChange });
const tables = new Tables({ say, poll: pollStatus });
const topics = new Topics({
  onOpen: (change, message) => {
    openedFrom = document.activeElement;
    inspector.open(change, { message });
    coverPage();
  },
});
let openedFrom = null;

log.listen({
  marked: (changes) => {
    if (changes.includes(inspector.change)) inspector.marked();
  },
});

const isNarrow = matchMedia('(max-width: 899px)');

function openChange(change, focus) {
  inspector.open(change, { focus });
  list.opened(change);
  coverPage();
}

/// On a phone what is open covers the page: the focus must not go behind it.
function coverPage() {
  for (const part of document.querySelectorAll('main, .top, #health'))
    part.inert = inspector.isOpen && isNarrow.matches;
}

isNarrow.addEventListener('change', coverPage);

// --- views ------------------------------------------------------------------------------------------------------------

const views = ['changes', 'tables', 'topics'];
let view = '';

function showView() {
  const asked = location.hash.slice(1);
  const next = views.includes(asked) ? asked : view || views[0];
  if (next === view) return;
  view = next;
  inspector.close();
  for (const name of views) byId(name).hidden = name !== view;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${view}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.body.dataset.view = view;
  document.title = `${view === 'changes' ? '' : `${view[0].toUpperCase()}${view.slice(1)} – `}Lockstep`;
  pollStatus();
  if (view === 'topics') topics.poll();
}

function focusAfterInspector(change) {
  if (view === 'changes') list.focus(change);
  else if (openedFrom?.isConnected) openedFrom.focus();
  openedFrom = null;
}

addEventListener('hashchange', showView);

// --- what screen readers are told, sparingly ----------------------------------------------------------------------------

function say(words) {
  byId('spoken').textContent = words;
}

// --- the stream ---------------------------------------------------------------------------------------------------------

const second = { arrived: 0, shown: 0, applied: 0 };
const flat = () => Array(pulseLength).fill(0);
const pulse = { arrived: flat(), shown: flat(), applied: flat() };
let lostAt = 0;

const stream = new Stream({
  onMessage(message) {
    switch (message.type) {
      case 'hello':
        for (const topic of message.topics) knownTopics.add(topic);
        tellTables();
        break;
      case 'changes':
        for (const { arrived, shown } of Object.values(message.seen)) {
          second.arrived += arrived;
          second.shown += shown;
        }
        log.add(message.changes);
        break;
      case 'applied':
        log.mark(message.pipeline, message.topic, message.partition, message.next, message.at_ms);
        break;
      case 'dropped':
        addDropped(message.texts);
        break;
    }
  },
  onState: tellLink,
});

let dropped = 0;

/// A line for all of a few seconds.
function addDropped(texts) {
  if (dropped === 0) {
    setTimeout(() => {
      log.forgetMarks();
      log.addGap(`${plural(dropped, 'text')} of changes left out: this browser was too slow for them`);
      dropped = 0;
    }, 3000);
  }
  dropped += texts;
}

function tellLink(state, detail) {
  const words = {
    connecting: 'connecting',
    live: 'live',
    lost: 'not connected',
    replaced: 'replaced',
    refused: 'refused',
  };
  byId('link').dataset.state = state;
  setText(byId('link-text'), words[state]);
  switch (state) {
    case 'live':
      banner('');
      if (lostAt !== 0) {
        log.forgetMarks();
        log.addGap(`the connection was lost for ${duration(Date.now() - lostAt)}: what came meanwhile is not shown`);
        say('Connected again');
      }
      lostAt = 0;
      break;
    case 'lost':
      if (lostAt === 0) say('The connection to the daemon is lost. It is tried again.');
      lostAt ||= Date.now();
      countDown(Date.now() + detail);
      break;
    case 'replaced':
      banner(
        'Another window has taken over the changes of this one: it was opened with the same id.',
        'Show them here, too',
        () => stream.again(),
      );
      say('Another window has taken over');
      break;
    case 'refused':
      banner(`The daemon does not send its changes here. ${detail}`, 'Try again', () => stream.again());
      say(`Refused: ${detail}`);
      break;
  }
}

function countDown(until) {
  if (stream.state !== 'lost') return;
  const left = Math.max(0, until - Date.now());
  banner(
    `The connection to the daemon is lost; ${left < 1000 ? 'trying again' : `next try in ${Math.round(left / 1000)} s`}.`,
    'Try now',
    () => stream.again(),
  );
  if (left > 0) setTimeout(countDown, Math.min(left, 1000), until);
}

let onBanner = null;
byId('banner-button').addEventListener('click', () => onBanner?.());

function banner(words, button = '', press = null) {
  byId('banner').hidden = words === '';
  setText(byId('banner-text'), words);
  byId('banner-button').hidden = button === '';
  setText(byId('banner-button'), button);
  onBanner = press;
}

// --- what is seen -------------------------------------------------------------------------------------------------------

const mean = (values) => values.reduce((sum, one) => sum + one, 0) / Math.max(1, values.length);

function tellSeeing(list) {
  const what = list.feed === 'arrived' ? 'Arriving: as read from Kafka' : 'Applied: committed on the target';
  const still = list.isPaused
    ? `paused${list.held > 0 ? `, ${count(list.held)} newer` : ''}`
    : list.isAway
      ? 'held while you read'
      : '';
  setText(byId('seeing'), still ? `${what} · ${still}` : what);
}

/// Once a second: how much comes, and how much of it is shown.
function tellRate() {
  for (const [name, values] of Object.entries(pulse)) {
    if (name === 'applied') continue;
    values.push(second[name]);
    second[name] = 0;
    if (values.length > pulseLength) values.shift();
  }
  if (document.hidden) return;
  const seconds = 3;
  const arrived = mean(pulse.arrived.slice(-seconds));
  const shown = mean(pulse.shown.slice(-seconds));
  const lately = list.feed === 'arrived' ? arrived : (pulse.applied.at(-1) ?? 0);
  let words = lately === 0 ? 'quiet' : `${rate(lately)}/s`;
  if (shown < arrived * 0.99) words = `showing ${rate(shown)} of ${rate(lately)}/s`;
  setText(byId('rate'), words);
  byId('rate').title =
    shown < arrived * 0.99
      ? 'More changes come than can be read: the daemon sends a sample of them. All of them are applied.'
      : '';
  byId('pulse').firstElementChild.setAttribute(
    'd',
    area(list.feed === 'arrived' ? pulse.arrived : pulse.applied, pulseLength, 120, 24),
  );
}

setInterval(tellRate, 1000);

const knownTopics = new Set();

/// The select has all tables that are known: those of the status, and those that have come.
function tellTables() {
  const select = byId('table');
  const names = new Set(log.tables.values());
  const having = new Set([...names].map((name) => `.${name}`));
  for (const topic of knownTopics) {
    const table = topic.split('.').slice(-2).join('.');
    if (!having.has(`.${table}`) && !names.has(topic)) names.add(table);
  }
  const sorted = [...names].sort();
  if (sorted.length === select.options.length - 1) return;
  select.replaceChildren(
    h('option', { value: '' }, 'All tables'),
    ...sorted.map((name) => h('option', { value: name }, name)),
  );
  select.value = filter.table;
}

// --- filters ------------------------------------------------------------------------------------------------------------

let toldFilter = 0;

function filtered() {
  const rows = list.rebuild();
  clearTimeout(toldFilter);
  toldFilter = setTimeout(() => say(`${plural(rows, 'change')} shown`), 800);
}

for (const [op, { word, sign }] of Object.entries(operations)) {
  byId('ops').append(
    h(
      'button',
      {
        type: 'button',
        'aria-pressed': 'true',
        data: { op },
        title: `Show or hide: ${word}`,
        on: { click: (event) => toggleOp(op, event.currentTarget) },
      },
      h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      h('span', { class: 'word' }, word),
    ),
  );
}

function toggleOp(op, button) {
  if (!filter.ops.delete(op)) filter.ops.add(op);
  button.setAttribute('aria-pressed', String(filter.ops.has(op)));
  filtered();
}

byId('text').addEventListener('input', (event) => {
  filter.text = event.target.value.trim().toLowerCase();
  filtered();
});

function emptyText() {
  byId('text').value = filter.text = '';
  filtered();
}

byId('table').addEventListener('change', (event) => {
  filter.table = event.target.value;
  filtered();
});
byId('feed').addEventListener('change', (event) => {
  list.show(event.target.value);
  tellRate();
});
byId('pause').addEventListener('click', togglePause);

function togglePause() {
  list.pause(!list.isPaused);
  byId('pause').setAttribute('aria-pressed', String(list.isPaused));
  setText(byId('pause'), list.isPaused ? 'Resume' : 'Pause');
  say(list.isPaused ? 'Paused' : 'Resumed');
}

function toggleFeed() {
  const other = document.querySelector(`#feed input:not([value=${list.feed}])`);
  other.checked = true;
  list.show(other.value);
  tellRate();
  say(byId('seeing').textContent);
}

// --- polling ------------------------------------------------------------------------------------------------------------

let isPolling = false;
const appliedBefore = { total: null, at: 0 };

async function pollStatus() {
  if (isPolling || document.hidden) return;
  isPolling = true;
  try {
    const status = JSON.parse(await request('/status', { deadline: 5000 }));
    const at = performance.now();
    let total = 0;
    log.pipelines.clear();
    for (const pipeline of status.pipelines) {
      for (const table of pipeline.tables ?? []) {
        knownTopics.add(table.topic);
        log.pipelines.set(table.topic, (log.pipelines.get(table.topic) ?? 0) + 1);
        total += table.applied;
        for (const { partition, applied } of table.partitions) {
          if (applied !== null) log.found(pipeline.name, table.topic, partition, applied);
        }
      }
    }
    if (appliedBefore.total !== null && at > appliedBefore.at) {
      pulse.applied.push(Math.max(0, total - appliedBefore.total) / ((at - appliedBefore.at) / 1000));
      if (pulse.applied.length > pulseLength) pulse.applied.shift();
    }
    Object.assign(appliedBefore, { total, at });
    tables.show(status, at);
    tellTables();
  } catch (error) {
    tables.noAnswer(error);
  } finally {
    isPolling = false;
  }
}

setInterval(pollStatus, statusEvery);
setInterval(() => {
  if (view === 'topics' && !document.hidden) topics.poll();
}, topicsEvery);
document.addEventListener('visibilitychange', pollStatus);

// --- keys ---------------------------------------------------------------------------------------------------------------

byId('keys').addEventListener('click', showKeys);
byId('theme').addEventListener('click', nextTheme);

function tellTheme() {
  const words = { system: 'System', light: 'Light', dark: 'Dark' };
  setText(byId('theme'), words[chosenTheme()]);
  byId('theme').setAttribute('aria-label', `Colours: ${words[chosenTheme()].toLowerCase()}`);
}

function nextTheme() {
  chooseNextTheme();
  tellTheme();
}

let following = 0;

/// What is open follows the change that is chosen, where both are seen.
function move(step) {
  const change = list.move(step);
  if (!change || !inspector.isOpen || isNarrow.matches) return;
  clearTimeout(following);
  following = setTimeout(() => {
    if (inspector.isOpen) openChange(change, false);
  }, 120);
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Home: () => move(-Infinity),
  End: () => move(Infinity),
  ' ': togglePause,
  a: toggleFeed,
  '/': () => byId('text').focus(),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const target = event.target;
  const isText = target === byId('text');
  if (event.key === 'Escape') {
    if (isText && target.value) emptyText();
    else if (isText) list.focus(null);
    else inspector.close();
  } else if (isText || target.matches('select')) {
    if (!isText || !['Enter', 'ArrowDown'].includes(event.key)) return;
    list.focus(null);
  } else if (event.key === '?') {
    showKeys();
  } else if (event.key === 't') {
    nextTheme();
  } else if (['1', '2', '3'].includes(event.key)) {
    location.hash = views[Number(event.key) - 1];
  } else if (view === 'changes' && event.key in keys) {
    const isLetter = event.key.length === 1 && event.key !== ' ';
    // Elsewhere the others have a meaning already: they press, choose and scroll.
    if (!isLetter && (target.matches('button:not(.row), a, input') || inspector.element.contains(target))) return;
    keys[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

tellTheme();
showView();
stream.connect();
