// The topics: partitions, offsets, messages a second, and a look at the newest messages.

import { request } from './api.js';
import { clock, count, h, instant, plural, rate, setText, shortened } from './format.js';

const peeked = 20;

/// Calls onOpen(change, message) for a message that is opened.
export class Topics {
  constructor({ onOpen }) {
    this.onOpen = onOpen;
    this.frame = document.getElementById('topic-list');
    this.rows = new Map();
    this.error = h('p', { class: 'error', role: 'alert', hidden: true });
    this.list = h('ul', { class: 'topics', 'aria-label': 'Topics' });
    this.frame.append(this.error, this.list);
  }

  async poll() {
    let topics;
    try {
      ({ topics } = JSON.parse(await request('/topics')));
    } catch (error) {
      this.error.hidden = false;
      setText(this.error, `The topics could not be asked for: ${error.message}`);
      return;
    }
    this.error.hidden = topics.length > 0;
    if (topics.length === 0) setText(this.error, 'There are no topics yet.');
    const at = performance.now();
    const names = new Set(topics.map((one) => one.topic));
    for (const [name, row] of this.rows) {
      if (names.has(name)) continue;
      row.element.remove();
      this.rows.delete(name);
    }
    for (const topic of topics) {
      if (!this.rows.has(topic.topic)) {
        const row = new Topic(topic.topic, this.onOpen);
        this.rows.set(topic.topic, row);
        this.list.append(row.element);
      }
      this.rows.get(topic.topic).show(topic, at);
    }
  }
}

class Topic {
  constructor(name, onOpen) {
    this.name = name;
    this.onOpen = onOpen;
    this.last = null;
    this.items = new Map(); // of the messages that are shown, by partition and offset
    this.figures = h('span', { class: 'figures' });
    this.rate = h('span', { class: 'rate' });
    this.of = h('span', { class: 'of' });
    this.partitions = h('tbody');
    this.error = h('p', { class: 'error', role: 'alert', hidden: true });
    this.messages = h('ol', { class: 'messages', 'aria-label': `Newest messages of ${name}` });
    this.details = h(
      'details',
      {
        on: {
          toggle: () => {
            if (this.details.open) this.peek();
          },
        },
      },
      h('summary', {}, h('span', { class: 'name' }, name), this.figures, this.rate, this.of),
      h(
        'div',
        { class: 'topic-body' },
        h(
          'table',
          { class: 'partitions' },
          h('caption', { class: 'unseen' }, `Partitions of ${name}`),
          h(
            'thead',
            {},
            h('tr', {}, ...['Partition', 'First', 'End', 'Messages'].map((head) => h('th', { scope: 'col' }, head))),
          ),
          this.partitions,
        ),
        h(
          'div',
          { class: 'raw-head' },
          h('h3', {}, 'Newest messages'),
          h('button', { type: 'button', class: 'quiet', on: { click: () => this.peek() } }, 'Look again'),
        ),
        this.error,
        this.messages,
      ),
    );
    this.element = h('li', {}, this.details);
  }

  show({ pipelines, partitions }, at) {
    const sum = (of) => partitions.reduce((total, one) => total + of(one), 0);
    const end = sum((one) => one.end);
    setText(
      this.figures,
      `${plural(partitions.length, 'partition')} · ${plural(
        sum((one) => one.end - one.first),
        'message',
      )}`,
    );
    if (this.last && at > this.last.at)
      setText(this.rate, `${rate(Math.max(0, end - this.last.end) / ((at - this.last.at) / 1000))}/s`);
    this.last = { end, at };
    setText(this.of, pipelines.length > 0 ? `read by ${pipelines.join(', ')}` : 'read by none');
    if (!this.details.open) return;
    this.partitions.replaceChildren(
      ...partitions.map((one) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, String(one.partition)),
          ...[one.first, one.end, one.end - one.first].map((number) => h('td', {}, count(number))),
        ),
      ),
    );
  }

  async peek() {
    setText(this.error, '');
    this.error.hidden = true;
    let messages;
    try {
      ({ messages } = JSON.parse(await request(`/topics/${encodeURIComponent(this.name)}/messages?limit=${peeked}`)));
    } catch (error) {
      this.error.hidden = false;
      setText(this.error, error.message);
      return;
    }
    const newestFirst = messages.sort((a, b) => (b.timestamp_ms ?? 0) - (a.timestamp_ms ?? 0) || b.offset - a.offset);
    const items = new Map();
    newestFirst.forEach((message, i) => {
      const place = `${message.partition}@${message.offset}`;
      // What is there already stays, with the focus that it may have.
      const item = this.items.get(place) ?? this.item(place, message);
      items.set(place, item);
      if (this.messages.children[i] !== item) this.messages.insertBefore(item, this.messages.children[i] ?? null);
    });
    while (this.messages.childElementCount > messages.length) this.messages.lastElementChild.remove();
    this.items = items;
    if (messages.length === 0) this.messages.append(h('li', { class: 'note' }, 'none'));
  }

  item(place, message) {
    const { timestamp_ms: at, key, value } = message;
    const open = () => this.onOpen({ topic: this.name, ...message }, message);
    const time =
      at === null
        ? h('span', { class: 'at' }, 'no time')
        : h('time', { class: 'at', datetime: instant(at) }, clock(at));
    const text = (name, source, most) =>
      h('span', { class: source === null ? `${name} null` : name }, shortened(withoutSchema(source), most));
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', class: 'message', on: { click: open } },
        time,
        h('span', { class: 'place' }, place),
        text('key', key, 80),
        text('what', value, 300),
      ),
    );
  }
}

/// Where a message carries its schema, what comes after it: that is what differs.
function withoutSchema(source) {
  if (source === null) return 'null';
  const at = source.startsWith('{"schema":') ? source.indexOf('"payload":') : -1;
  return at < 0 ? source : source.slice(at + 10, -1);
}
