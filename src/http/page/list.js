// The list of changes: newest first, at most so many rows, built once a frame at the most.

import { appliedAt, cameAt, columnsOf, matches, operations, push, rowBefore, tookOf, wasSent } from './feed.js';
import { clock, count, duration, h, instant, plural, setText, shortened, text } from './format.js';

const mostRows = 200;
const mostColumns = 8; // in a row's summary
const mostText = 60; // characters of a value there
const calmAbove = 15; // rows a second: more are shown in steps
const calmStep = 500; // ms

const byId = (id) => document.getElementById(id);

/// filter: {table, ops, text}; feed: 'arrived' or 'applied'. Calls onOpen(change, focusIt).
export class ChangeList {
  constructor(log, { filter, onOpen, onSeeing }) {
    this.log = log;
    this.filter = filter;
    this.onOpen = onOpen;
    this.onSeeing = onSeeing;
    this.feed = 'arrived';
    this.list = byId('list');
    this.empty = byId('empty');
    this.newer = byId('newer');
    this.changes = new WeakMap(); // of a row
    this.rows = new Map(); // of a change
    this.queue = []; // not in the list yet, oldest first
    this.marked = new Set();
    this.held = 0; // came since the view stands still
    this.isPaused = false;
    this.isPressed = false;
    this.isAway = false; // scrolled down: what is read must not move
    this.current = null; // the row that Tab comes to
    this.frame = 0;
    this.shownAt = 0;
    this.recent = []; // times and numbers of rows that came, for a second
    for (const feed of ['arrived', 'applied']) {
      log.listen({
        [feed]: (changes) => {
          if (feed === this.feed) this.take(changes);
        },
      });
    }
    log.listen({ marked: (changes) => this.mark(changes) });
    this.list.addEventListener('click', (event) => this.open(event.target.closest('.row')));
    this.list.addEventListener('focusin', (event) => this.choose(event.target.closest('.row')));
    // A row must not move away between press and click.
    this.list.addEventListener('pointerdown', () => {
      this.isPressed = true;
    });
    for (const end of ['pointerup', 'pointercancel'])
      addEventListener(end, () => {
        if (this.isPressed) {
          this.isPressed = false;
          this.schedule();
        }
      });
    this.newer.addEventListener('click', () => this.toNewest());
    new IntersectionObserver(([top]) => this.scrolled(!top.isIntersecting)).observe(byId('list-top'));
    this.rebuild();
  }

  get standsStill() {
    return this.isPaused || this.isAway;
  }

  // --- what comes ---

  take(changes) {
    const fitting = changes.filter((change) => matches(change, this.filter));
    if (this.standsStill) {
      this.held += fitting.filter((one) => !one.gap).length;
    } else {
      push(this.queue, fitting, mostRows);
      this.recent.push({ at: performance.now(), rows: fitting.length });
    }
    this.schedule();
  }

  mark(changes) {
    if (this.feed !== 'arrived') return;
    for (const change of changes) if (this.rows.has(change)) this.marked.add(change);
    if (this.marked.size > 0) this.schedule();
  }

  schedule() {
    if (this.frame !== 0) return;
    const now = performance.now();
    this.recent = this.recent.filter((one) => now - one.at < 1000);
    const rowsASecond = this.recent.reduce((sum, one) => sum + one.rows, 0);
    const rest = rowsASecond > calmAbove ? this.shownAt + calmStep - now : 0;
    this.frame = -1;
    const draw = () => {
      this.frame = requestAnimationFrame(() => this.draw(rowsASecond));
    };
    if (rest > 0) setTimeout(draw, rest);
    else draw();
  }

  draw(rowsASecond = 0) {
    this.frame = 0;
    if (this.isPressed) return;
    this.shownAt = performance.now();
    if (!this.standsStill && this.queue.length > 0) {
      const entries = this.queue.slice(-mostRows).reverse();
      this.queue = [];
      this.prepend(entries, rowsASecond <= calmAbove);
    }
    for (const change of this.marked) {
      const row = this.rows.get(change);
      if (row) showApplied(row.lastChild, change, this.log.isDone(change));
    }
    this.marked.clear();
    this.tellState();
  }

  prepend(entries, isNew) {
    const fragment = document.createDocumentFragment();
    for (const entry of entries) fragment.append(this.item(entry, isNew));
    this.list.prepend(fragment);
    while (this.list.childElementCount > mostRows) this.drop(this.list.lastElementChild);
    this.current ??= this.list.querySelector('.row');
    if (this.current) this.current.tabIndex = 0;
  }

  /// Keeps the focus in the list when its row goes.
  drop(item) {
    const row = item.querySelector('.row');
    if (row) {
      const change = this.changes.get(row);
      this.rows.delete(change);
      if (row === this.current) {
        const hadFocus = row === document.activeElement;
        this.current = null;
        const next = previousRow(row);
        if (next) {
          this.choose(next);
          if (hadFocus) next.focus({ preventScroll: true });
        }
      }
    }
    item.remove();
  }

  /// From what is remembered: another feed, another filter, or the view goes on.
  rebuild() {
    this.queue = [];
    this.held = 0;
    this.rows.clear();
    this.current = null;
    this.list.replaceChildren();
    const entries = [];
    const all = this.log[this.feed];
    for (let i = all.length - 1; i >= 0 && entries.length < mostRows; --i)
      if (matches(all[i], this.filter)) entries.push(all[i]);
    this.prepend(entries, false);
    this.tellState();
    return entries.length;
  }

  // --- what is asked for ---

  show(feed) {
    this.feed = feed;
    this.list.dataset.feed = feed;
    byId('scroller').scrollTop = 0;
    this.isAway = false;
    return this.rebuild();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    if (!this.standsStill) this.rebuildKeepingChosen();
    this.tellState();
  }

  scrolled(isAway) {
    if (this.isAway === isAway) return;
    this.isAway = isAway;
    if (!this.standsStill && this.held > 0) this.rebuildKeepingChosen();
    this.tellState();
  }

  rebuildKeepingChosen() {
    const change = this.current && this.changes.get(this.current);
    const hadFocus = this.list.contains(document.activeElement);
    this.rebuild();
    const row = this.rows.get(change) ?? this.list.querySelector('.row');
    this.choose(row);
    if (hadFocus) row?.focus({ preventScroll: true });
  }

  toNewest() {
    byId('scroller').scrollTop = 0;
    document.scrollingElement.scrollTop = 0;
    this.isAway = false;
    this.rebuild(); // where it is paused: a look at what has come, and it stays so
    this.list.querySelector('.row')?.focus({ preventScroll: true });
  }

  choose(row) {
    if (!row || row === this.current) return;
    if (this.current) this.current.tabIndex = -1;
    row.tabIndex = 0;
    this.current = row;
  }

  /// step: 1 the next one down, -1 up, Infinity and -Infinity the last and the first.
  move(step) {
    const rows = [...this.list.querySelectorAll('.row')];
    if (rows.length === 0) return;
    const at = rows.indexOf(document.activeElement);
    // Who comes from elsewhere comes to the row that was left.
    const wanted = at < 0 && Number.isFinite(step) ? rows.indexOf(this.current) : Math.max(at, 0) + step;
    const to = Math.min(rows.length - 1, Math.max(0, wanted));
    rows[to].focus();
    return this.changes.get(rows[to]);
  }

  open(row) {
    if (!row) return;
    row.focus({ preventScroll: true });
    this.onOpen(this.changes.get(row), true);
  }

  opened(change) {
    this.list.querySelector('.row[aria-expanded=true]')?.setAttribute('aria-expanded', 'false');
    this.rows.get(change)?.setAttribute('aria-expanded', 'true');
  }

  /// Back to where the inspector was opened from.
  focus(change) {
    (this.rows.get(change) ?? this.current ?? this.list).focus();
  }

  tellState() {
    const isEmpty = this.list.childElementCount === 0;
    this.empty.hidden = !isEmpty;
    if (isEmpty) {
      const any = this.log[this.feed].length > 0;
      setText(
        this.empty,
        any
          ? `None of the last ${plural(this.log[this.feed].length, 'change')} passes the filter.`
          : this.feed === 'applied'
            ? 'Nothing has been applied since this page was opened. A change stands here once the target’s transaction has committed.'
            : 'Nothing has come since this page was opened. Changes stand here as they are read from Kafka; what came before is in Topics.',
      );
    }
    this.newer.hidden = this.held === 0 || (!this.isAway && !this.isPaused);
    if (!this.newer.hidden) setText(this.newer, `↑ ${count(this.held)} newer`);
    this.onSeeing(this);
  }

  // --- rows ---

  item(entry, isNew) {
    if (entry.gap) return h('li', { class: 'gap' }, h('span', {}, `${clock(entry.at_ms)}  ${entry.gap}`));
    const { word, sign } = operations[entry.op] ?? operations['?'];
    const at = (this.feed === 'applied' ? appliedAt(entry) : null) ?? cameAt(entry);
    const took = h('span', { class: 'took' });
    showApplied(took, entry, this.log.isDone(entry));
    const row = h(
      'button',
      { class: 'row', type: 'button', tabindex: -1, 'aria-expanded': 'false', 'data-op': entry.op },
      h('time', { class: 'at', datetime: instant(at), title: instant(at) }, ...withSmall(clock(at))),
      h('span', { class: 'op' }, h('span', { class: 'sign', 'aria-hidden': 'true' }, sign), word),
      h('span', { class: 'table' }, entry.table ?? entry.topic),
      h('span', { class: 'key' }, keyText(entry)),
      h('span', { class: 'what' }, ...summary(entry)),
      took,
    );
    this.changes.set(row, entry);
    this.rows.set(entry, row);
    return h('li', { class: isNew ? 'new' : null }, row);
  }
}

function previousRow(row) {
  for (let item = row.parentElement.previousElementSibling; item; item = item.previousElementSibling) {
    const before = item.querySelector('.row');
    if (before) return before;
  }
  return null;
}

/// The milliseconds apart: a phone has no room for them.
function withSmall(time) {
  const [seconds, fraction] = time.split('.');
  return [seconds, fraction === undefined ? null : h('span', { class: 'ms' }, `.${fraction}`)];
}

export function keyText(change) {
  if (!change.key) return '';
  if (typeof change.key !== 'object') return shortened(text(change.key), mostText);
  return shortened(
    Object.entries(change.key)
      .map(([name, value]) => `${name}=${text(value)}`)
      .join(' '),
    mostText,
  );
}

function value(one, className) {
  const shown = one === undefined ? '?' : shortened(text(one), mostText);
  return h('span', { class: one === null ? `${className} null` : className }, shown === '' ? '‘’' : shown);
}

function pair(name, ...values) {
  return h('span', { class: 'pair' }, h('span', { class: 'name' }, name), ' ', ...values);
}

/// What has happened, in a line.
function summary(change) {
  const isKey = (name) => change.key && typeof change.key === 'object' && name in change.key;
  const plain = (row, className) =>
    Object.entries(row ?? {})
      .filter(([name, one]) => !isKey(name) && wasSent(one) && (className !== 'old' || one !== null))
      .slice(0, mostColumns)
      .map(([name, one]) => pair(name, value(one, className)));
  const note = (words) => h('span', { class: 'note' }, words);
  switch (change.op) {
    case 'c':
    case 'r':
      return plain(change.after, 'now');
    case 'd':
      return plain(rowBefore(change).row, 'old');
    case 't':
      return [note('all rows are gone')];
    case 'tombstone':
      return [note('lets Kafka forget the key')];
    case 'u':
      break;
    default:
      return [note(change.cut ? 'too long to be shown here: open it' : 'not a change of Debezium’s: open it')];
  }
  if (!rowBefore(change).row) {
    return [note('before not known; now'), ...plain(change.after, 'now')];
  }
  const changed = columnsOf(change).filter((column) => column.changed);
  if (changed.length === 0)
    return [note(change.cut ? 'what has changed is too long to be shown here: open it' : 'no column has changed')];
  return changed
    .slice(0, mostColumns)
    .map((column) =>
      pair(column.name, value(column.before, 'old'), h('span', { class: 'to' }, ' → '), value(column.after, 'now')),
    );
}

function showApplied(element, change, isDone) {
  if (!isDone) {
    element.dataset.applied = 'no';
    setText(element, change.applied.length > 0 ? `${change.applied.length} applied` : 'not yet');
    element.title = 'Read from Kafka, not yet committed on the target';
    return;
  }
  const took = tookOf(change);
  element.dataset.applied = 'yes';
  setText(element, took === null || took < 0 ? '✓ applied' : `✓ ${duration(took)}`);
  element.title = 'From the source’s commit to the target’s';
}
