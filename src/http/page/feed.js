// What the stream has said: changes as they arrived, as they were applied, and what their rows were
// like before. No DOM, all of it bounded.

import { json, parseExact, same, text } from './format.js';

const mostChanges = 1000; // of each feed
const mostRows = 2000; // whose last state is known
const mostWaiting = 500; // of a partition, for their commit
const mostMarks = 16; // of a partition and pipeline
const late = 3000; // ms: what came to Kafka so long before a first mark may have been applied before it, too

export const operations = {
  c: { word: 'create', sign: '+' },
  u: { word: 'update', sign: '~' },
  d: { word: 'delete', sign: '−' },
  r: { word: 'snapshot', sign: '○' },
  t: { word: 'truncate', sign: '⌀' },
  tombstone: { word: 'tombstone', sign: '†' },
  '?': { word: 'other', sign: '?' },
};

// What Debezium sends in place of a large value that did not change, as text and as base64.
const notSent = ['__debezium_unavailable_value', 'X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=='];

export function wasSent(value) {
  return !notSent.includes(value);
}

/// `row` with the values that the change did not send taken from the row before.
function completed(row, before) {
  if (!before || !Object.values(row).some((value) => !wasSent(value))) return row;
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, wasSent(value) ? value : (before[name] ?? value)]),
  );
}

/// What the row was like before the change: {row, basis}. basis: 'sent' by the source, 'seen' here
/// before (known.offset says where), or null: not known.
export function rowBefore(change) {
  if (change.before && (change.op !== 'd' || change.isFull)) return { row: change.before, basis: 'sent' };
  if (change.known) return { row: change.known.row, basis: 'seen' };
  return { row: null, basis: null };
}

/// Where one of them was too long to be sent: as far as it was.
function sameAsFar(a, b) {
  const beginsAs = (whole, cut) =>
    typeof cut === 'string' && cut.length > 60 && cut.endsWith('…') && text(whole).startsWith(cut.slice(0, -1));
  return same(a, b) || beginsAs(a, b) || beginsAs(b, a);
}

/// The columns of a change: {name, before, after, changed}; undefined: not known. Those of an update
/// that changed come first.
export function columnsOf(change) {
  const { row: before } = rowBefore(change);
  const after = change.after;
  const names = [...new Set([...Object.keys(after ?? {}), ...Object.keys(before ?? {})])];
  const columns = names.map((name) => {
    const column = { name, before: before?.[name], after: after?.[name], changed: false };
    column.changed = Boolean(before && after) && wasSent(column.after) && !sameAsFar(column.before, column.after);
    return column;
  });
  return change.op === 'u'
    ? [...columns.filter((one) => one.changed), ...columns.filter((one) => !one.changed)]
    : columns;
}

/// When the last of its pipelines had committed it; null: not known.
export function appliedAt(change) {
  if (change.applied.some((one) => one.at_ms === null)) return null;
  return Math.max(...change.applied.map((one) => one.at_ms));
}

/// Milliseconds from the source's commit to the target's; null: not known.
export function tookOf(change) {
  const at = appliedAt(change);
  return at === null ? null : at - committedAt(change);
}

/// When the source committed it, else when it came to Kafka.
export function committedAt(change) {
  return typeof change.source_ts_us === 'number' ? change.source_ts_us / 1000 : cameAt(change);
}

/// When it came to Kafka; a record without a time: when it was heard of.
export function cameAt(change) {
  return change.timestamp_ms ?? change.heard_ms;
}

/// Takes what values were too long to be sent from the raw message.
export function completeFromRaw(change, key, value) {
  try {
    const inner = (source) => {
      const parsed = parseExact(source);
      return parsed && 'schema' in parsed && 'payload' in parsed ? parsed.payload : parsed;
    };
    if (key !== null) change.key = inner(key);
    if (value === null) return;
    const payload = inner(value);
    change.before = payload.before ?? change.before;
    change.after = payload.after ?? change.after;
    if (payload.op in operations) change.op = payload.op;
    change.cut = false;
    change.searched = undefined;
  } catch {
    // Not JSON: the raw text is shown anyway.
  }
}

/// `op`: a Set of operations; `text` in small letters.
export function matches(change, { table, ops, text: wanted }) {
  if (change.gap) return true;
  if (table && (change.table ?? change.topic) !== table) return false;
  if (!ops.has(change.op)) return false;
  if (!wanted) return true;
  change.searched ??= [
    change.table,
    change.topic,
    change.offset,
    ...[change.key, change.before, change.after].map((one) =>
      one ? Object.entries(one).flat().map(text).join(' ') : '',
    ),
  ]
    .join(' ')
    .toLowerCase();
  return change.searched.includes(wanted);
}

/// When the change was applied; null: some time ago; undefined: it is not, as far as is known.
function timeOf(change, { marks, before, without }) {
  const isOld = (at_ms) => cameAt(change) < at_ms - late;
  if (before && change.offset < before.next && isOld(before.at_ms)) return null;
  const covering = marks.find((one) => one.next > change.offset);
  if (covering) return !before && covering === marks[0] && isOld(covering.at_ms) ? null : covering.at_ms;
  return change.offset < without ? null : undefined;
}

export class ChangeLog {
  constructor() {
    this.arrived = []; // oldest first; a {gap: text} where some are missing
    this.applied = [];
    this.ids = new Set();
    this.full = new Map(); // by topic: whether its table has REPLICA IDENTITY FULL
    this.tables = new Map(); // by topic: what its changes call it
    this.rows = new Map(); // last states, by topic and key; the one not used for longest is first
    this.waiting = new Map(); // changes that are not applied, by topic and partition
    this.progress = new Map(); // by topic and partition, then pipeline
    this.pipelines = new Map(); // how many pipelines read a topic
    this.listeners = [];
  }

  /// `on`: {arrived(changes), applied(changes), marked(changes): more is known of when they were applied}
  listen(on) {
    this.listeners.push(on);
  }

  tell(what, changes) {
    if (changes.length > 0) for (const on of this.listeners) on[what]?.(changes);
  }

  add(all) {
    const changes = all.filter((change) => this.isNew(change));
    const done = [];
    for (const change of changes) {
      change.applied = [];
      change.heard_ms = Date.now();
      if (!(change.op in operations)) change.op = '?';
      // A tombstone does not say whose it is.
      change.table ??= this.tables.get(change.topic) ?? null;
      this.tables.set(change.topic, change.table ?? change.topic);
      this.remember(change);
      if (this.wait(change)) done.push(change);
    }
    push(this.arrived, changes, mostChanges);
    push(this.applied, done, mostChanges);
    this.tell('arrived', changes);
    this.tell('applied', done);
  }

  /// After a reconnect the newest come once more.
  isNew({ topic, partition, offset, timestamp_ms }) {
    const id = `${topic}/${partition}@${offset} ${timestamp_ms}`;
    if (this.ids.has(id)) return false;
    this.ids.add(id);
    if (this.ids.size > mostChanges) this.ids.delete(this.ids.values().next().value);
    return true;
  }

  addGap(gap) {
    const both = { gap, at_ms: Date.now() };
    push(this.arrived, [both], mostChanges);
    push(this.applied, [both], mostChanges);
    this.tell('arrived', [both]);
    this.tell('applied', [both]);
  }

  /// All of the partition before `next` is committed on the target, since `at_ms`.
  mark(pipeline, topic, partition, next, at_ms) {
    const place = `${topic}/${partition}`;
    const progress = this.progressOf(place, pipeline);
    // Lower than before: the target, or the topic, is another one.
    progress.marks = [...progress.marks.filter((one) => one.next < next), { next, at_ms }].slice(-mostMarks);
    this.settle(place);
  }

  /// The same, from a status, without a time. The first tells what was applied before this page came; a
  /// later one helps where a mark was lost: what the status before said has had its time to arrive.
  found(pipeline, topic, partition, next) {
    const place = `${topic}/${partition}`;
    const progress = this.progressOf(place, pipeline);
    progress.before ??= { next, at_ms: Date.now() };
    progress.without = progress.status;
    progress.status = next;
    this.settle(place);
  }

  /// Marks have been lost: what they said is to be found again.
  forgetMarks() {
    this.progress.clear();
  }

  /// before: what the first status said; without: what is applied at the latest, if no mark says when.
  progressOf(place, pipeline) {
    if (!this.progress.has(place)) this.progress.set(place, new Map());
    const ofPlace = this.progress.get(place);
    if (!ofPlace.has(pipeline)) ofPlace.set(pipeline, { marks: [], before: null, status: 0, without: 0 });
    return ofPlace.get(pipeline);
  }

  /// Adds what is known of when the change was applied. Whether that is all.
  complete(change, place) {
    for (const [pipeline, progress] of this.progress.get(place) ?? []) {
      if (change.applied.some((one) => one.pipeline === pipeline)) continue;
      const at_ms = timeOf(change, progress);
      if (at_ms !== undefined) change.applied.push({ pipeline, at_ms });
    }
    return this.isDone(change);
  }

  settle(place) {
    const waiting = this.waiting.get(place) ?? [];
    const told = waiting.filter((change) => {
      const known = change.applied.length;
      this.complete(change, place);
      return change.applied.length > known;
    });
    if (told.length === 0) return;
    const done = told.filter((change) => this.isDone(change));
    this.waiting.set(
      place,
      waiting.filter((change) => !this.isDone(change)),
    );
    push(this.applied, done, mostChanges);
    this.tell('marked', told);
    this.tell('applied', done);
  }

  isDone(change) {
    return change.applied.length >= (this.pipelines.get(change.topic) ?? 1);
  }

  /// Whether it was applied before it was heard of.
  wait(change) {
    const place = `${change.topic}/${change.partition}`;
    if (this.complete(change, place)) return true;
    if (!this.waiting.has(place)) this.waiting.set(place, []);
    push(this.waiting.get(place), [change], mostWaiting);
    return false;
  }

  remember(change) {
    if (change.op === 't') {
      const prefix = `${change.topic}\n`;
      for (const id of this.rows.keys()) if (id.startsWith(prefix)) this.rows.delete(id);
      return;
    }
    // An update has a row before only with REPLICA IDENTITY FULL. Without, that of a delete has the key
    // alone, and defaults that were made up.
    if (change.op === 'u') this.full.set(change.topic, Boolean(change.before));
    change.isFull = this.full.get(change.topic) ?? false;
    if (!change.key) return;
    const id = `${change.topic}\n${json(change.key)}`;
    const known = this.rows.get(id);
    if (known && (change.op === 'u' || change.op === 'd')) change.known = known;
    this.rows.delete(id);
    if (change.after) {
      change.after = completed(change.after, change.before ?? known?.row);
      this.rows.set(id, { row: change.after, offset: change.offset });
      if (this.rows.size > mostRows) this.rows.delete(this.rows.keys().next().value);
    }
  }
}

/// Bounded: the oldest go.
export function push(list, more, most) {
  for (const one of more) list.push(one);
  if (list.length > most * 1.25) list.splice(0, list.length - most);
}
