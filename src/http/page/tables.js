// The pipelines and their tables, with what an operator needs; and the health line on top.

import { request } from './api.js';
import { confirmed } from './dialogs.js';
import { area, bytes, count, duration, h, plural, rate, setText, svg } from './format.js';

const historyLength = 60;
const signs = { reading: '●', paused: '‖', waiting: '◔', stopped: '▲', running: '●', ended: '▲' };
const urgency = { stopped: 0, waiting: 1, paused: 2, reading: 3 };

/// Rates of what only grows, from one poll to the next.
class Rates {
  constructor() {
    this.of = new Map(); // by id: {total, at, values}
  }

  /// values: changes a second, newest last.
  add(id, total, at) {
    const known = this.of.get(id);
    if (!known) {
      this.of.set(id, { total, at, values: [] });
      return [];
    }
    if (at > known.at) {
      known.values.push(Math.max(0, total - known.total) / ((at - known.at) / 1000));
      if (known.values.length > historyLength) known.values.shift();
      known.total = total;
      known.at = at;
    }
    return known.values;
  }

  keepOnly(ids) {
    for (const id of this.of.keys()) if (!ids.has(id)) this.of.delete(id);
  }
}

/// Calls say(text) for what a screen reader should tell, and poll() for a look at what became of a command.
export class Tables {
  constructor({ say, poll }) {
    this.say = say;
    this.poll = poll;
    this.frame = document.getElementById('pipelines');
    this.health = document.getElementById('health');
    this.sections = new Map();
    this.rates = new Rates();
    this.wasHealthy = true;
  }

  show(status, at) {
    this.showHealth(status);
    const ids = new Set();
    for (const pipeline of status.pipelines) {
      for (const table of pipeline.tables ?? []) {
        const id = `${pipeline.name}\n${table.topic}`;
        ids.add(id);
        table.rates = this.rates.add(id, table.applied, at);
      }
    }
    this.rates.keepOnly(ids);
    if (document.getElementById('tables').hidden) return;
    const names = new Set(status.pipelines.map((one) => one.name));
    for (const [name, section] of this.sections) {
      if (names.has(name)) continue;
      section.element.remove();
      this.sections.delete(name);
    }
    for (const pipeline of status.pipelines) {
      if (!this.sections.has(pipeline.name)) {
        const section = new Pipeline(pipeline.name, (...command) => this.command(...command));
        this.sections.set(pipeline.name, section);
        this.frame.append(section.element);
      }
      this.sections.get(pipeline.name).show(pipeline);
    }
  }

  showHealth(status) {
    const most = 3;
    const lines = status.reasons.slice(0, most).map((reason) => h('li', {}, reason));
    if (status.reasons.length > most)
      lines.push(h('li', {}, h('a', { href: '#tables' }, `and ${count(status.reasons.length - most)} more`)));
    const pipelines = status.pipelines
      .filter((one) => one.state === 'running' && one.lag)
      .slice(0, most)
      .map((one) =>
        h(
          'li',
          {},
          h('b', {}, one.name),
          ` ${one.lag.messages > 0 ? `${count(one.lag.messages)} behind, ${duration(one.lag.seconds * 1000)}` : 'in step'} · ${rate(one.changes_per_s)}/s`,
          one.lag.messages > 0 || one.why_slow !== 'nothing is behind'
            ? h('span', { class: 'why' }, ` — ${one.why_slow}`)
            : null,
        ),
      );
    const word = status.healthy ? 'Healthy' : 'Not healthy';
    const digest = JSON.stringify([word, lines.map((one) => one.textContent), pipelines.map((one) => one.textContent)]);
    if (digest !== this.digest) {
      this.digest = digest;
      this.health.dataset.healthy = String(status.healthy);
      this.health.replaceChildren(
        h(
          'p',
          { class: 'verdict' },
          h('span', { class: 'sign', 'aria-hidden': 'true' }, status.healthy ? '●' : '▲'),
          word,
        ),
        lines.length > 0 ? h('ul', { class: 'reasons' }, ...lines) : '',
        h('ul', { class: 'pipes' }, ...pipelines),
        h('p', { class: 'build' }),
      );
    }
    setText(this.health.querySelector('.build'), `lockstepd ${status.version}, up ${duration(status.uptime_s * 1000)}`);
    if (status.healthy !== this.wasHealthy)
      this.say(status.healthy ? 'Healthy again' : `Not healthy: ${status.reasons[0]}`);
    this.wasHealthy = status.healthy;
  }

  noAnswer(error) {
    this.digest = '';
    this.health.dataset.healthy = 'false';
    this.health.replaceChildren(
      h('p', { class: 'verdict' }, h('span', { class: 'sign', 'aria-hidden': 'true' }, '▲'), 'No status'),
      h('ul', { class: 'reasons' }, h('li', {}, error.message)),
    );
  }

  /// topic null: all of the pipeline. record: to skip, {partition, offset, cause}.
  async command(pipeline, topic, verb, { tables, record }) {
    if (
      topic === null &&
      verb === 'pause' &&
      !(await confirmed(
        `Pause ${pipeline}?`,
        `All of its ${plural(tables, 'table')} stand still. The transactions under way end first; what comes meanwhile waits in Kafka, for as long as its retention lasts.`,
        'Pause',
      ))
    ) {
      return null;
    }
    if (
      verb === 'resync' &&
      !(await confirmed(
        `Read ${topic} anew?`,
        'The connector sends all rows of the table again, among the changes that come. Rows that the target lacks come back, and others are set right; rows that only the target has stay there.',
        'Resync',
      ))
    ) {
      return null;
    }
    if (
      record &&
      !(await confirmed(
        `Skip ${topic}[${record.partition}]@${record.offset}?`,
        `This one message goes to the dead-letter topic instead of the target, and the table goes on behind it. Later changes of its row are applied. It stops the table for: ${record.cause}`,
        'Skip it',
      ))
    ) {
      return null;
    }
    const path = `/pipelines/${encodeURIComponent(pipeline)}${topic === null ? '' : `/tables/${encodeURIComponent(topic)}`}/${verb}`;
    // What was confirmed is skipped, and nothing that stops the table by now.
    const which = record ? `?partition=${record.partition}&offset=${record.offset}` : '';
    try {
      const { note } = JSON.parse(await request(path + which, { method: 'POST' }));
      this.say(`${verb} ${topic ?? pipeline}: done`);
      await this.poll();
      return note ? `${verb}: ${note}` : null;
    } catch (error) {
      return `${verb}: ${error.message}`;
    }
  }
}

function button(label, name, press) {
  return h('button', { type: 'button', 'aria-label': `${label} ${name}`, on: { click: press } }, label);
}

class Pipeline {
  constructor(name, command) {
    this.name = name;
    this.tables = new Map();
    this.count = 0;
    this.error = h('p', { class: 'error', role: 'alert', hidden: true });
    this.state = h('span', { class: 'state' });
    this.facts = h('dl', { class: 'facts' });
    this.why = h('p', { class: 'why' });
    this.spent = h('div', { class: 'spent' });
    const send = async (topic, verb, record) => {
      const failed = await command(name, topic, verb, { tables: this.count, record });
      this.error.hidden = !failed;
      setText(this.error, failed ?? '');
    };
    this.send = send;
    this.buttons = h(
      'div',
      { class: 'buttons' },
      ...[
        ['Pause', 'pause'],
        ['Resume', 'resume'],
        ['Retry', 'retry'],
      ].map(([label, verb]) => button(`${label} all`, `of ${name}`, () => send(null, verb))),
    );
    this.list = h('ul', { class: 'tables', 'aria-label': `Tables of ${name}` });
    this.element = h(
      'section',
      { class: 'pipeline', 'aria-label': `Pipeline ${name}` },
      h('header', {}, h('h3', {}, name), this.state, this.buttons),
      this.error,
      this.why,
      this.facts,
      this.spent,
      this.list,
    );
  }

  show(status) {
    const tables = status.tables ?? [];
    this.count = tables.length;
    this.state.dataset.state = status.state;
    setText(this.state, `${signs[status.state] ?? ''} ${status.state}`);
    this.buttons.hidden = status.state !== 'running';
    setText(this.why, status.cause || status.why_slow || '');
    this.why.classList.toggle('error', Boolean(status.cause));
    this.facts.hidden = this.spent.hidden = !status.lag;
    if (status.lag) {
      const { counters, target } = status;
      const facts = [
        [
          'Behind',
          status.lag.messages > 0 ? `${count(status.lag.messages)}, ${duration(status.lag.seconds * 1000)}` : '0',
        ],
        ['Changes', `${rate(status.changes_per_s)}/s`],
        ['Applied', count(counters.changes)],
        ['Kafka', status.kafka.reachable ? plural(status.kafka.partitions, 'partition') : 'does not answer'],
        ['Target', target.reachable ? `${target.busy} of ${target.connections} busy` : 'unavailable'],
        ['Held', bytes(status.held_bytes)],
      ];
      if (counters.retries > 0) facts.push(['Tried again', count(counters.retries)]);
      if (counters.dead_letters > 0) facts.push(['Dead letters', count(counters.dead_letters)]);
      if (counters.parked > 0) facts.push(['Parked', count(counters.parked)]);
      if (counters.lossy_values > 0) facts.push(['Lossy values', count(counters.lossy_values)]);
      this.facts.replaceChildren(...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
      this.showSpent(status.recently_of_a_second, target.connections);
    }
    this.showTables(tables);
  }

  /// Where the time goes: of the reader's, and of that of the connections to the target.
  showSpent(recent, connections) {
    const parts = [
      [
        'reading',
        [
          ['fetch', recent.fetch],
          ['decode', recent.decode],
        ],
      ],
      [
        'writing',
        [
          ['lock', recent.lock / connections],
          ['rows', recent.sql / connections],
          ['commit', recent.commit / connections],
        ],
      ],
    ];
    this.spent.replaceChildren(
      ...parts.map(([name, stages]) => {
        const percent = (part) => `${Math.round(Math.min(1, part) * 100)} %`;
        const words = stages.map(([stage, part]) => `${stage} ${percent(part)}`).join(', ');
        const bar = h(
          'div',
          { class: 'bar', 'aria-hidden': 'true' },
          ...stages.map(([stage, part]) => {
            const piece = h('span', { data: { stage } });
            piece.style.width = `${Math.min(1, part) * 100}%`;
            return piece;
          }),
        );
        return h('div', {}, h('p', {}, h('b', {}, name), ` ${words}`), bar);
      }),
    );
  }

  showTables(tables) {
    const topics = new Set(tables.map((one) => one.topic));
    for (const [topic, row] of this.tables) {
      if (topics.has(topic)) continue;
      row.element.remove();
      this.tables.delete(topic);
    }
    const sorted = [...tables].sort((a, b) => urgency[a.state] - urgency[b.state] || (a.topic < b.topic ? -1 : 1));
    sorted.forEach((table, i) => {
      if (!this.tables.has(table.topic))
        this.tables.set(table.topic, new Table(table.topic, (...what) => this.send(table.topic, ...what)));
      const row = this.tables.get(table.topic);
      const there = this.list.children[i];
      // A row that has the focus stays where it is: moving it would lose the focus.
      if (there !== row.element && !row.element.contains(document.activeElement))
        this.list.insertBefore(row.element, there ?? null);
      row.show(table);
    });
  }
}

class Table {
  constructor(topic, send) {
    this.state = h('span', { class: 'state' });
    this.lag = h('span', { class: 'lag' });
    this.line = svg('path');
    this.rate = h('span', { class: 'rate' });
    this.newest = h('span', { class: 'newest' });
    this.cause = h('p', { class: 'cause', hidden: true });
    const name = topic.split('.').slice(1).join('.') || topic;
    this.buttons = Object.fromEntries(
      [
        ['Pause', 'pause'],
        ['Resume', 'resume'],
        ['Retry', 'retry'],
        ['Skip', 'skip'],
        ['Resync', 'resync'],
      ].map(([label, verb]) => [verb, button(label, topic, () => this.press(verb, send))]),
    );
    this.element = h(
      'li',
      { 'data-topic': topic },
      h(
        'div',
        { class: 'table-line' },
        h('span', { class: 'name', title: topic }, name),
        this.state,
        this.lag,
        h(
          'span',
          { class: 'chart' },
          svg('svg', { viewBox: '0 0 80 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.line),
          this.rate,
        ),
        this.newest,
        h('span', { class: 'buttons' }, ...Object.values(this.buttons)),
      ),
      this.cause,
    );
  }

  async press(verb, send) {
    const hadFocus = this.buttons[verb] === document.activeElement;
    await send(verb, verb === 'skip' ? this.stoppedBy : undefined);
    // The button that was pressed may be gone: its opposite has the focus then.
    if (hadFocus && this.buttons[verb].hidden)
      Object.values(this.buttons)
        .find((one) => !one.hidden)
        ?.focus();
  }

  show(table) {
    this.element.dataset.state = table.state;
    this.state.dataset.state = table.state;
    setText(this.state, `${signs[table.state] ?? ''} ${table.state}`);
    setText(this.lag, table.lag > 0 ? `${count(table.lag)} behind` : 'in step');
    this.lag.dataset.behind = String(table.lag > 0);
    this.line.setAttribute('d', area(table.rates, historyLength, 80, 20));
    setText(this.rate, `${rate(table.rates.at(-1) ?? table.changes_per_s)}/s`);
    const age = table.newest_commit ? Date.now() - Date.parse(table.newest_commit) : null;
    setText(
      this.newest,
      age === null
        ? 'nothing yet'
        : age < 2000
          ? 'newest now'
          : `newest ${duration(Math.floor(age / 1000) * 1000)} ago`,
    );
    this.newest.title = table.newest_commit
      ? `The newest applied change was committed at the source at ${table.newest_commit}`
      : '';
    this.cause.hidden = !table.cause;
    if (table.cause) {
      const tries = table.tries > 0 ? `, ${plural(table.tries, 'try', 'tries')}` : '';
      setText(
        this.cause,
        `${table.cause} (for ${duration(Math.floor(table.for_s) * 1000 || table.for_s * 1000)}${tries})`,
      );
    }
    this.buttons.pause.hidden = table.state === 'paused' || table.state === 'stopped';
    this.buttons.resume.hidden = table.state !== 'paused';
    this.buttons.retry.hidden = table.state !== 'stopped' && table.state !== 'waiting';
    this.buttons.skip.hidden = !table.stopped_by;
    this.stoppedBy = table.stopped_by && { ...table.stopped_by, cause: table.cause };
  }
}
