// One change, opened: what has changed, when, and the raw message, fetched when it is opened.

import { request } from './api.js';
import { cameAt, columnsOf, committedAt, completeFromRaw, operations, rowBefore, wasSent } from './feed.js';
import { bytes, clock, duration, h, indented, instant, text } from './format.js';

/// Shows a change of the feed, or a message of a topic (without an op). onClose() gives the focus back.
export class Inspector {
  constructor({ onClose }) {
    this.element = document.getElementById('inspector');
    this.body = document.getElementById('body');
    this.onClose = onClose;
    this.change = null;
    this.isIndented = true;
  }

  get isOpen() {
    return !this.element.hidden;
  }

  /// `message`: where it has been fetched already.
  open(change, { focus = true, message = null } = {}) {
    this.change = change;
    this.message = message;
    this.error = '';
    this.element.hidden = false;
    this.body.classList.add('open');
    this.show();
    this.element.scrollTop = 0;
    if (focus) this.element.querySelector('h2').focus();
    if (!message) this.fetch(change);
  }

  close() {
    if (!this.isOpen) return;
    this.element.hidden = true;
    this.body.classList.remove('open');
    const change = this.change;
    this.change = null;
    this.element.replaceChildren();
    this.onClose(change);
  }

  async fetch(change) {
    try {
      const path = `/topics/${encodeURIComponent(change.topic)}/messages?partition=${change.partition}&offset=${change.offset}&limit=1`;
      // The numbers here are offsets and times; key and value are texts.
      const message = JSON.parse(await request(path)).messages.find((one) => one.offset === change.offset);
      if (change !== this.change) return;
      if (message) this.message = message;
      else this.error = 'the topic does not hold it any more: retention or compaction has passed it';
      if (message && change.cut) completeFromRaw(change, message.key, message.value);
    } catch (error) {
      if (change !== this.change) return;
      this.error = error.message;
    }
    this.show(true);
  }

  /// More is known of when it was applied.
  marked() {
    const times = this.element.querySelector('.times');
    if (times) times.replaceWith(this.times());
  }

  show(isFetched = false) {
    const change = this.change;
    const hadFocus = isFetched && this.element.contains(document.activeElement);
    const { word, sign } = operations[change.op] ?? { word: 'message', sign: '' };
    const parts = [
      h(
        'header',
        { 'data-op': change.op },
        h(
          'h2',
          { id: 'inspector-title', tabindex: -1 },
          h('span', { class: 'op' }, sign ? h('span', { class: 'sign', 'aria-hidden': 'true' }, sign) : null, word),
          ' ',
          change.table ?? change.topic,
        ),
        h(
          'button',
          {
            class: 'quiet',
            type: 'button',
            'aria-label': 'Close',
            title: 'Close (Esc)',
            on: { click: () => this.close() },
          },
          '✕',
        ),
      ),
      change.op ? this.times() : null,
      change.op ? this.columns() : null,
      this.origin(),
      ...this.raw(),
    ];
    this.element.replaceChildren(...parts.filter(Boolean));
    if (hadFocus) this.element.querySelector('h2').focus({ preventScroll: true });
  }

  times() {
    const change = this.change;
    const committed = committedAt(change);
    const step = (name, at, since) => [
      h('dt', {}, name),
      h(
        'dd',
        {},
        h('time', { datetime: instant(at), title: instant(at) }, clock(at)),
        since >= 0 ? h('span', { class: 'since' }, `+${duration(since)}`) : null,
      ),
    ];
    const steps = typeof change.source_ts_us === 'number' ? step('Committed at source', committed, -1) : [];
    steps.push(...step('Written to Kafka', cameAt(change), cameAt(change) - committed));
    for (const { pipeline, at_ms } of change.applied) {
      steps.push(
        ...(at_ms === null
          ? [h('dt', {}, `Applied by ${pipeline}`), h('dd', {}, 'yes')]
          : step(`Applied by ${pipeline}`, at_ms, at_ms - committed)),
      );
    }
    if (change.applied.length === 0) steps.push(h('dt', {}, 'Applied'), h('dd', { class: 'note' }, 'not yet'));
    return h('dl', { class: 'times' }, ...steps);
  }

  columns() {
    const change = this.change;
    if (change.op === 't') return h('p', { class: 'note' }, 'The source’s table was emptied: TRUNCATE.');
    if (change.op === 'tombstone')
      return h(
        'p',
        { class: 'note' },
        'Debezium sends this after a delete: a key without a value, that lets a compacted topic forget the key.',
      );
    const columns = columnsOf(change);
    const { basis } = rowBefore(change);
    if (columns.length === 0) {
      return change.cut && !this.message
        ? h('p', { class: 'note' }, 'The values were too long to be sent here; they are in the message below.')
        : this.basis(basis);
    }
    const cell = (value, className) =>
      h(
        'td',
        { class: value === null ? `${className} null` : className },
        value === undefined
          ? h('span', { class: 'note' }, 'not known')
          : !wasSent(value)
            ? h('span', { class: 'note' }, 'unchanged, not sent')
            : text(value) === ''
              ? h('span', { class: 'note' }, 'empty')
              : text(value),
      );
    const isUpdate = change.op === 'u';
    const hasBefore = isUpdate && basis !== null;
    const head = isUpdate && hasBefore ? ['Column', 'Before', 'After'] : ['Column', change.op === 'd' ? 'Was' : 'Is'];
    const table = h(
      'table',
      { class: 'columns' },
      h('thead', {}, h('tr', {}, ...head.map((name) => h('th', { scope: 'col' }, name)))),
      h(
        'tbody',
        {},
        ...columns.map((column) =>
          h(
            'tr',
            { class: column.changed ? 'changed' : null },
            h(
              'th',
              { scope: 'row' },
              column.name,
              column.changed ? h('span', { class: 'unseen' }, ' (changed)') : null,
            ),
            ...(hasBefore
              ? [cell(column.before, 'old'), cell(column.after, 'now')]
              : [cell(change.op === 'd' ? column.before : column.after, change.op === 'd' ? 'old' : 'now')]),
          ),
        ),
      ),
    );
    return h(
      'div',
      {},
      this.basis(basis),
      change.cut ? h('p', { class: 'note' }, 'Long values end with … until the message is here.') : null,
      h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Columns' }, table),
    );
  }

  /// How what is shown as before is known, if that is not plain.
  basis(basis) {
    const { op, known } = this.change;
    if (basis === 'sent' || !['u', 'd'].includes(op)) return null;
    const notSent = 'The source sends what a row was like only with REPLICA IDENTITY FULL';
    const words =
      basis === 'seen'
        ? `${notSent}; before is as this page saw the row last, at offset ${known.offset}.`
        : `${notSent}, and this page had not seen the row.`;
    return h('p', { class: 'note' }, words);
  }

  origin() {
    const change = this.change;
    const entries = [
      ['Topic', change.topic],
      ['Partition', change.partition],
      ['Offset', change.offset],
      ['Time', change.timestamp_ms === null ? 'none' : instant(change.timestamp_ms)],
    ];
    if (change.tx !== null && change.tx !== undefined) entries.push(['Transaction', change.tx]);
    return h(
      'dl',
      { class: 'origin' },
      ...entries.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, text(value))]),
    );
  }

  raw() {
    if (this.error)
      return [
        h('h3', {}, 'Message'),
        h('p', { class: 'error', role: 'alert' }, `It could not be fetched: ${this.error}`),
      ];
    if (!this.message) return [h('h3', {}, 'Message'), h('p', { class: 'note' }, 'fetching…')];
    const { key, value, headers } = this.message;
    const block = (name, source) => [
      h(
        'div',
        { class: 'raw-head' },
        h(
          'h3',
          {},
          name,
          source === null ? null : h('span', { class: 'note' }, ` ${bytes(new TextEncoder().encode(source).length)}`),
        ),
        source === null
          ? null
          : h(
              'button',
              {
                class: 'quiet',
                type: 'button',
                'aria-label': `Copy the ${name.toLowerCase()}`,
                on: { click: (event) => copy(event.currentTarget, source) },
              },
              'Copy',
            ),
      ),
      source === null
        ? h('p', { class: 'null' }, 'null')
        : h('pre', { tabindex: 0, 'aria-label': name }, this.isIndented ? indented(source) : source),
    ];
    return [
      h(
        'div',
        { class: 'raw-head' },
        h('h3', {}, 'Headers'),
        h(
          'button',
          {
            class: 'quiet',
            id: 'indent',
            type: 'button',
            'aria-pressed': String(!this.isIndented),
            on: { click: () => this.toggleIndented() },
          },
          'Raw',
        ),
      ),
      headers.length === 0
        ? h('p', { class: 'note' }, 'none')
        : h(
            'dl',
            { class: 'origin' },
            ...headers.flatMap((one) => [
              h('dt', {}, one.name),
              h('dd', { class: one.value === null ? 'null' : null }, one.value ?? 'null'),
            ]),
          ),
      ...block('Key', key),
      ...block('Value', value),
    ];
  }

  toggleIndented() {
    this.isIndented = !this.isIndented;
    this.show();
    document.getElementById('indent').focus();
  }
}

async function copy(button, source) {
  try {
    await navigator.clipboard.writeText(source);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'The browser forbids it';
  }
}
