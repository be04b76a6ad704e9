// The live page in a real browser, against a lockstepd that replicates: page_test.cpp starts it and says where.
//   PAGE_URL GUARDED_URL (asks for the token open-sesame-and-more) SOURCE_URL TARGET_URL   PIPELINE TABLE FULL_TABLE (REPLICA IDENTITY FULL)
//   SIGNALS (the connector's table for them) MODULES (node_modules is there) SHOTS (a folder for screenshots)
// Both tables are (id bigint PRIMARY KEY, name text, amount numeric, note text, n int NOT NULL DEFAULT 7) in schema public.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';

const { PAGE_URL, GUARDED_URL, SOURCE_URL, TARGET_URL, PIPELINE, TABLE, FULL_TABLE, SIGNALS, MODULES, SHOTS } = process.env;
const require = createRequire(`${MODULES}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const run = promisify(execFile);

const deadline = 15000;
const topicOf = (table) => `${PIPELINE}.public.${table}`;

let browser;
let contexts = [];
let complaints = [];
let lastId = 0;

const psql = (url) => (text) => run('psql', [url, '-v', 'ON_ERROR_STOP=1', '-qAtc', text]);
const sql = psql(SOURCE_URL);
const target = psql(TARGET_URL);
const newId = () => ++lastId;

async function until(what, check) {
  for (const end = Date.now() + deadline; ;) {
    const got = await check();
    if (got) return got;
    if (Date.now() > end) assert.fail(`not within ${deadline / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/// A window of its own, whose page is connected. What it must not do is noted: an error, a request elsewhere.
async function open({ url = PAGE_URL, hash = '', live = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(deadline);
  contexts.push(context);
  context.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) complaints.push(`asks ${request.url()}`);
  });
  context.on('weberror', (error) => complaints.push(error.error().stack));
  context.on('console', (message) => {
    // What a server refuses is told as an error, too.
    if (
      message.type() === 'error' &&
      !message.text().includes('Failed to load resource') &&
      !message.text().includes('WebSocket')
    )
      complaints.push(message.text());
  });
  const page = await context.newPage();
  await page.goto(url + hash);
  if (live) await isLive(page);
  return page;
}

const isLive = (page) => page.locator('#link[data-state=live]').waitFor();

/// Rows of one row of a table; op: c, u, d, r, t or tombstone.
const rows = (page, op, id, table = TABLE) =>
  page
    .locator(`.row[data-op="${op}"]`)
    .filter({ has: page.locator('.table', { hasText: new RegExp(`^public\\.${table}$`) }) })
    .filter({ has: page.locator('.key', { hasText: new RegExp(`^id=${id}$`) }) });

const focused = (page) => page.evaluate(() => document.activeElement.outerHTML.slice(0, 200));

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
});

afterEach(async () => {
  for (const context of contexts) await context.close();
  contexts = [];
  const found = complaints;
  complaints = [];
  assert.deepEqual(found, []);
});

after(() => browser.close());

test('changes of the source appear as they happen, with what has changed, and are marked once they are applied', async () => {
  const page = await open();
  const id = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'Ada', 1.50, NULL)`);
  await rows(page, 'c', id).filter({ hasText: 'Ada' }).waitFor();
  await sql(`UPDATE ${TABLE} SET name = 'Grace' WHERE id = ${id}`);
  const what = rows(page, 'u', id).locator('.what');
  await what.waitFor();
  assert.equal(await what.textContent(), 'name Ada → Grace');
  await sql(`DELETE FROM ${TABLE} WHERE id = ${id}`);
  await rows(page, 'd', id).filter({ hasText: 'Grace' }).waitFor();
  await rows(page, 'tombstone', id).waitFor();
  await sql(`TRUNCATE ${TABLE}`);
  await page.locator('.row[data-op=t]').filter({ hasText: TABLE }).first().waitFor();
  for (const op of ['c', 'u', 'd'])
    await rows(page, op, id)
      .filter({ hasText: /✓ [\d.]+ (ms|s)/ })
      .waitFor();
});

test('where the source sends what a row was like, a window that is new shows it', async () => {
  const id = newId();
  await sql(`INSERT INTO ${FULL_TABLE} VALUES (${id}, 'Edsger', 1, 'kept')`);
  const page = await open();
  await sql(`UPDATE ${FULL_TABLE} SET name = NULL, amount = 2 WHERE id = ${id}`);
  const what = rows(page, 'u', id, FULL_TABLE).locator('.what');
  await what.waitFor();
  assert.match(await what.textContent(), /^name Edsger → nullamount 1(\.0+)? → 2(\.0+)?$/);
});

test('of a row that was not seen, what a delete makes up is not shown', async () => {
  const id = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'gone', 1, 'unseen')`);
  let page;
  // A window gets the last ten, or, if the topic was still being read for the one before it, what came since.
  await until('a window has not seen the row', async () => {
    await sql(`INSERT INTO ${TABLE} SELECT i, 'others' FROM generate_series(${lastId + 1}, ${lastId + 12}) i`);
    lastId += 12;
    await until('all are in the topic', async () => {
      const newest = await fetch(`${PAGE_URL}topics/${topicOf(TABLE)}/messages?limit=20`); // markers count
      return (await newest.text()).includes(`\\"id\\":${lastId}`);
    });
    page = await open();
    await rows(page, 'c', lastId).waitFor();
    if ((await rows(page, 'c', id).count()) === 0) return true;
    await page.close();
    return false;
  });
  await sql(`DELETE FROM ${TABLE} WHERE id = ${id}`);
  await rows(page, 'd', id).waitFor();
  assert.equal(await rows(page, 'd', id).locator('.what').textContent(), '');
});

test('texts of the stream stay texts, and long ones are whole when they are opened', async () => {
  const page = await open();
  const id = newId();
  const long = 'x'.repeat(5000);
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, '<img src=x onerror=alert(1)>', 1, '${long}')`);
  const row = rows(page, 'c', id);
  await row.filter({ hasText: '<img src=x onerror=alert(1)>' }).waitFor();
  assert.equal(await page.locator('main img').count(), 0);
  assert.ok((await row.textContent()).length < 500);
  await row.click();
  await until('the whole text is there', async () =>
    (await page.locator('#inspector td').allTextContents()).includes(long),
  );
});

test('numbers that JavaScript would round are shown as they are', async () => {
  const page = await open();
  await sql(`INSERT INTO ${TABLE} VALUES (9007199254740993, 'large', 1, NULL)`);
  const row = rows(page, 'c', '9007199254740993');
  await row.click();
  await page.locator('pre[aria-label=Value]', { hasText: /"id": ?9007199254740993\b/ }).waitFor();
  await sql(`DELETE FROM ${TABLE} WHERE id = 9007199254740993`);
  const exact = await page.evaluate(async () => {
    const { parseExact, json, text, indented } = await import('/format.js');
    const source = '{"a":12345678901234567890,"b":[1.50,"1.50 \\"2\\"",-0,1e3,{},[]],"c":"9007199254740993"}';
    const parsed = parseExact(source);
    const packed = (lines) => lines.replaceAll(/\n */g, '').replaceAll('": ', '":');
    return {
      source,
      back: json(parsed),
      a: text(parsed.a),
      inText: parsed.b[1],
      indented: packed(indented(source)),
      folded: packed(indented(`{"schema":{"fields":[{"type":"int64"}]},"payload":${source}}`)),
    };
  });
  assert.equal(exact.back, exact.source);
  assert.equal(exact.a, '12345678901234567890');
  assert.equal(exact.inText, '1.50 "2"');
  assert.equal(exact.indented, exact.source);
  assert.equal(exact.folded, `{"schema":{ … },"payload":${exact.source}}`);
});

test('what was applied before the page came has no time, what is applied then has', async () => {
  const page = await open();
  const seen = await page.evaluate(async () => {
    const { ChangeLog, tookOf } = await import('/feed.js');
    const now = Date.now();
    const change = (offset, came) => ({
      topic: 't',
      partition: 0,
      offset,
      timestamp_ms: came,
      op: 'c',
      source_ts_us: came * 1000,
    });
    const took = (log, changes) => changes.map((one) => (log.isDone(one) ? tookOf(one) : 'not yet'));
    const [marked, asked, lost] = [new ChangeLog(), new ChangeLog(), new ChangeLog()];
    const make = () => [change(1, now - 60000), change(2, now - 100)];
    const [a, b, c] = [make(), make(), make()];
    marked.add(a); // the mark comes before the first status
    marked.mark('replica', 't', 0, 3, now);
    asked.add(b);
    asked.found('replica', 't', 0, 2);
    const between = took(asked, b);
    asked.mark('replica', 't', 0, 3, now);
    lost.add(c); // no mark comes: the second status that says so is believed
    lost.found('replica', 't', 0, 3);
    lost.found('replica', 't', 0, 3);
    return { marked: took(marked, a), between, asked: took(asked, b), lost: took(lost, c) };
  });
  assert.deepEqual(seen, {
    marked: [null, 100],
    between: [null, 'not yet'],
    asked: [null, 100],
    lost: [null, null],
  });
});

test('table, operation and text filter what is seen', async () => {
  const page = await open();
  const [one, other] = [newId(), newId()];
  await sql(
    `INSERT INTO ${TABLE} VALUES (${one}, 'Barbara', 1, NULL); INSERT INTO ${FULL_TABLE} VALUES (${other}, 'Tony', 1, NULL); UPDATE ${FULL_TABLE} SET amount = 9 WHERE id = ${other}`,
  );
  await rows(page, 'u', other, FULL_TABLE).waitFor();
  await rows(page, 'c', one).waitFor();
  const seen = (locator, count) => until(`${count} of ${locator}`, async () => (await locator.count()) === count);

  await page.selectOption('#table', `public.${FULL_TABLE}`);
  await seen(rows(page, 'c', one), 0);
  await seen(rows(page, 'c', other, FULL_TABLE), 1);
  await page.click('#ops [data-op=c]');
  await seen(rows(page, 'c', other, FULL_TABLE), 0);
  await seen(rows(page, 'u', other, FULL_TABLE), 1);
  await page.selectOption('#table', '');
  await page.click('#ops [data-op=c]');
  await page.fill('#text', 'BARBARA');
  await seen(rows(page, 'c', one), 1);
  await seen(rows(page, 'u', other, FULL_TABLE), 0);
  const [fits, fitsNot] = [newId(), newId()]; // what comes is filtered, too
  await sql(`INSERT INTO ${TABLE} VALUES (${fitsNot}, 'Mary', 1, NULL), (${fits}, 'barbara again', 1, NULL)`);
  await rows(page, 'c', fits).waitFor();
  assert.equal(await rows(page, 'c', fitsNot).count(), 0);
});

test('a table is paused and resumed by its buttons; what arrives meanwhile is applied afterwards', async () => {
  const page = await open();
  const stateOf = async () =>
    (await (await fetch(`${PAGE_URL}status`)).json()).pipelines[0].tables.find((one) => one.topic === topicOf(TABLE))
      .state;
  await page.keyboard.press('2');
  await page.getByRole('button', { name: `Pause ${topicOf(TABLE)}`, exact: true }).click();
  await page.locator(`[data-topic="${topicOf(TABLE)}"][data-state=paused]`).waitFor();
  assert.equal(await stateOf(), 'paused');

  const id = newId();
  await page.keyboard.press('1');
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'waits', 1, NULL)`);
  await rows(page, 'c', id).filter({ hasText: 'not yet' }).waitFor();
  await page.keyboard.press('a');
  await page.locator('#seeing', { hasText: /^Applied/ }).waitFor();
  assert.equal(await rows(page, 'c', id).count(), 0);

  await page.keyboard.press('2');
  await page.getByRole('button', { name: `Resume ${topicOf(TABLE)}`, exact: true }).click();
  await page.locator(`[data-topic="${topicOf(TABLE)}"][data-state=reading]`).waitFor();
  assert.equal(await stateOf(), 'reading');
  await page.keyboard.press('1');
  await rows(page, 'c', id).filter({ hasText: '✓' }).waitFor();
});

test('the record that stops a table is skipped when that is confirmed, by keyboard', async () => {
  const page = await open({ hash: '#tables' });
  const [bad, next] = [newId(), newId()];
  await target(`ALTER TABLE ${TABLE} ADD CONSTRAINT cheap CHECK (amount < 1000)`);
  await sql(`INSERT INTO ${TABLE} VALUES (${bad}, 'too dear', 1000, NULL)`);
  await page.locator(`[data-topic="${topicOf(TABLE)}"][data-state=stopped]`).waitFor();
  const button = page.getByRole('button', { name: `Skip ${topicOf(TABLE)}`, exact: true });
  await button.focus();
  await page.keyboard.press('Enter');
  const asked = new RegExp(`^Skip ${topicOf(TABLE).replaceAll('.', '\\.')}\\[0\\]@\\d+\\?$`);
  await page.locator('#confirm-title', { hasText: asked }).waitFor();
  await page.locator('#confirm-text', { hasText: 'violates check constraint "cheap"' }).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.locator(`[data-topic="${topicOf(TABLE)}"]`).getAttribute('data-state'), 'stopped');
  assert.match(await focused(page), /aria-label="Skip /);

  await page.keyboard.press('Enter');
  await page.locator('#confirm-ok').focus();
  await page.keyboard.press('Enter');
  await page.locator(`[data-topic="${topicOf(TABLE)}"][data-state=reading]`).waitFor();
  assert.equal(await button.isVisible(), false);
  await sql(`INSERT INTO ${TABLE} VALUES (${next}, 'cheap', 1, NULL)`);
  await page.keyboard.press('1');
  await rows(page, 'c', next).filter({ hasText: '✓' }).waitFor();
  await target(`ALTER TABLE ${TABLE} DROP CONSTRAINT cheap`);
});

test('a whole pipeline is paused only when that is confirmed', async () => {
  const page = await open({ hash: '#tables' });
  const states = async () =>
    new Set((await (await fetch(`${PAGE_URL}status`)).json()).pipelines[0].tables.map((one) => one.state));
  await page.getByRole('button', { name: `Pause all of ${PIPELINE}` }).click();
  await page.keyboard.press('Escape');
  assert.deepEqual(await states(), new Set(['reading']));
  await page.getByRole('button', { name: `Pause all of ${PIPELINE}` }).click();
  await page.locator('#confirm-ok').click();
  await until('all are paused', async () => (await states()).has('paused') && (await states()).size === 1);
  await page.getByRole('button', { name: `Resume all of ${PIPELINE}` }).click();
  await until('all are read', async () => (await states()).has('reading') && (await states()).size === 1);
});

test('a table is read anew once that is confirmed, and its lost rows come back', async () => {
  const page = await open({ hash: '#tables' });
  const id = newId();
  const count = async () => Number((await target(`SELECT count(*) FROM ${TABLE} WHERE id = ${id}`)).stdout);
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'to be lost', 1, NULL)`);
  await until('the row is applied', async () => (await count()) === 1);
  await target(`DELETE FROM ${TABLE} WHERE id = ${id}`);
  const signals = async () =>
    Number((await sql(`SELECT count(*) FROM ${SIGNALS} WHERE type = 'execute-snapshot'`)).stdout);
  const resync = page.getByRole('button', { name: `Resync ${topicOf(TABLE)}`, exact: true });
  await resync.focus();
  await page.keyboard.press('Enter');
  await page.locator('#confirm-text', { hasText: 'rows that only the target has stay' }).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await signals(), 0);
  await resync.click();
  await page.locator('#confirm-ok').click();
  await until('the row is back', async () => (await count()) === 1);
  assert.equal(await signals(), 1);
});

test('everything goes by keyboard: choose, open, close, filter, pause, help', async () => {
  const page = await open();
  const [first, second] = [newId(), newId()];
  await sql(`INSERT INTO ${TABLE} VALUES (${first}, 'Alan', 1, NULL)`);
  await rows(page, 'c', first).waitFor();
  await sql(`INSERT INTO ${TABLE} VALUES (${second}, 'Kurt', 1, NULL)`);
  await rows(page, 'c', second).waitFor();

  await page.keyboard.press('j');
  assert.match(await focused(page), /class="row"/);
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('k');
  const chosen = await page.evaluate(() => document.activeElement.querySelector('.key').textContent);
  assert.equal(chosen, `id=${second}`);

  await page.keyboard.press('Enter');
  await page.locator('#inspector pre[aria-label=Key]', { hasText: String(second) }).waitFor();
  await page.locator('#inspector pre[aria-label=Value]', { hasText: 'Kurt' }).waitFor();
  const origin = await page.locator('#inspector .origin').first().textContent();
  assert.match(origin, new RegExp(`Topic${topicOf(TABLE)}Partition0Offset\\d+`));
  assert.match(await focused(page), /inspector-title/);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#inspector').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.querySelector('.key').textContent), chosen);

  await page.keyboard.press('/');
  await page.keyboard.type('Alan');
  await until('only what has the text is seen', async () => (await rows(page, 'c', second).count()) === 0);
  await page.keyboard.press('Escape');
  await rows(page, 'c', second).waitFor();
  await page.keyboard.press('Escape');

  await page.keyboard.press(' ');
  await page.locator('#pause[aria-pressed=true]').waitFor();
  const hidden = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${hidden}, 'later', 1, NULL)`);
  await page.locator('#newer', { hasText: '1 newer' }).waitFor();
  assert.equal(await rows(page, 'c', hidden).count(), 0);
  await page.keyboard.press(' ');
  await rows(page, 'c', hidden).waitFor();

  await page.keyboard.press('?');
  await page.locator('#keys-dialog[open]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#keys-dialog').waitFor({ state: 'hidden' });
});

test('a topic shows its partitions, and its newest messages can be opened', async () => {
  const page = await open({ hash: '#topics' });
  const id = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'peeked at', 1, NULL)`);
  await page.locator('.topics summary', { hasText: topicOf(TABLE) }).click();
  const message = page.locator('details[open] .message', { hasText: 'peeked at' });
  await until('the message can be seen', async () => {
    await page.locator('details[open]').getByRole('button', { name: 'Look again' }).click();
    return (await message.count()) > 0;
  });
  await message.first().click();
  await page.locator('#inspector pre[aria-label=Value]', { hasText: 'peeked at' }).waitFor();
  await page.locator('details[open] .partitions td').first().waitFor();
  await page.keyboard.press('Escape');
  assert.match(await focused(page), /class="message"/);
});

test('5,000 changes at once: the page says that it shows a sample, stays small and answers', async () => {
  const page = await open();
  const begin = newId() + 100000;
  const said = page.locator('#rate', { hasText: /^showing [\d.,]+ of [\d.,]+\/s$/ }).waitFor();
  await sql(
    `INSERT INTO ${TABLE} SELECT i, 'row ' || i, i, repeat('y', 50) FROM generate_series(${begin}, ${begin + 4999}) i`,
  );
  await page.keyboard.press(' ');
  await page.locator('#pause[aria-pressed=true]').waitFor({ timeout: 3000 });
  await page.keyboard.press(' ');
  await said;
  assert.ok((await page.locator('#list > li').count()) <= 200);
  await sql(`DELETE FROM ${TABLE} WHERE id = ${begin + 4999}`); // it goes on afterwards
  await rows(page, 'd', begin + 4999).waitFor();
});

test('a connection that is lost is said, and comes again by itself', async () => {
  const context = await browser.newContext();
  contexts.push(context);
  context.setDefaultTimeout(deadline);
  const page = await context.newPage();
  let cut = null;
  let reachable = true;
  await page.routeWebSocket(/\/ws\//, (socket) => {
    if (!reachable) return socket.close({ code: 1013 });
    socket.connectToServer();
    cut = () => socket.close({ code: 1012 });
  });
  await page.goto(PAGE_URL);
  await isLive(page);
  reachable = false;
  cut();
  await page.locator('#banner', { hasText: 'is lost' }).waitFor();
  reachable = true;
  await isLive(page);
  await page.locator('.gap', { hasText: 'connection was lost' }).waitFor();
  const id = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'after', 1, NULL)`);
  await rows(page, 'c', id).waitFor();
});

test('a second window with the same id takes over, and the first says so and waits', async () => {
  const page = await open();
  const other = await page.context().newPage();
  await other.addInitScript(
    (id) => {
      if (!sessionStorage.getItem('lockstep.client')) sessionStorage.setItem('lockstep.client', id);
    },
    await page.evaluate(() => sessionStorage.getItem('lockstep.client')),
  );
  await other.goto(PAGE_URL);
  await isLive(other);
  await page.locator('#link[data-state=replaced]').waitFor();
  await page.locator('#banner', { hasText: 'Another window' }).waitFor();
  const id = newId();
  await sql(`INSERT INTO ${TABLE} VALUES (${id}, 'there', 1, NULL)`);
  await rows(other, 'c', id).waitFor();
  assert.equal(await page.locator('#link').getAttribute('data-state'), 'replaced');
  await page.locator('#banner-button').click();
  await isLive(page);
  assert.equal(await other.locator('#link').getAttribute('data-state'), 'live');
});

test('where a token is needed it is asked for, kept for the window, and used for all', async () => {
  const page = await open({ url: GUARDED_URL, live: false });
  const give = async (token) => {
    await page.locator('#token-dialog[open]').waitFor();
    await page.fill('#token-input', token);
    await page.keyboard.press('Enter');
  };
  await give('wrong');
  await page.locator('#token-why', { hasText: 'wrong token' }).waitFor();
  await give('open-sesame-and-more');
  await isLive(page);
  await page.keyboard.press('3');
  await page.locator('.topics > li').first().waitFor();
  await page.reload();
  await isLive(page);
  assert.equal(await page.locator('#token-dialog[open]').count(), 0);
});

test('a token behind the # is taken, and does not stay there', async () => {
  const page = await open({ url: GUARDED_URL, hash: '#token=open-sesame-and-more' });
  assert.equal(new URL(page.url()).hash, '');
  assert.equal(await page.locator('#token-dialog[open]').count(), 0);
});

test('the API is read and tried out at /docs, with the token that the page has', async () => {
  const page = await open({ url: GUARDED_URL, hash: '#token=open-sesame-and-more' });
  await page.locator('nav a', { hasText: 'API' }).click();
  const call = page.locator('.opblock', { has: page.locator('[data-path="/topic/list"]') });
  await call.click();
  await call.locator('button.execute').click();
  const answer = call.locator('.live-responses-table .response');
  assert.equal(await answer.locator('.response-col_status').innerText(), '200');
  assert.ok((await answer.innerText()).includes(topicOf(TABLE)));
});

const devices = {
  desk: { viewport: { width: 1440, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true },
};

/// All of axe's rules once at a desk and once on a phone; of the other themes the colours.
for (const [device, colorScheme, rules] of [
  ['desk', 'light', {}],
  ['desk', 'dark', { runOnly: ['color-contrast'] }],
  ['phone', 'light', { runOnly: ['color-contrast'] }],
  ['phone', 'dark', {}],
]) {
  test(`nothing keeps anybody out, and nothing is cut off: ${device}, ${colorScheme}`, async () => {
    const id = newId();
    const page = await open({ ...devices[device], colorScheme, reducedMotion: 'reduce' });
    await sql(`INSERT INTO ${FULL_TABLE} VALUES (${id}, 'Grace Hopper', 1, NULL);
      UPDATE ${FULL_TABLE} SET name = 'Grace Brewster Hopper', note = 'seen' WHERE id = ${id}`);
    const row = rows(page, 'u', id, FULL_TABLE);
    await row.filter({ hasText: '✓' }).waitFor();
    const look = async (what) => {
      await page.screenshot({ path: `${SHOTS}/${device}-${colorScheme}-${what}.png` });
      const { violations, passes } = await page.evaluate(`${axe}; axe.run(document, ${JSON.stringify(rules)})`);
      assert.ok(passes.length > 0);
      const bad = violations.filter((one) => ['serious', 'critical'].includes(one.impact));
      assert.deepEqual(
        bad.map((one) => `${what}: ${one.id}: ${one.nodes[0].html.slice(0, 200)}`),
        [],
      );
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what} is too wide`);
    };
    await look('changes');
    await row.click();
    await page.locator('#inspector pre[aria-label=Value]').waitFor();
    await look('open');
    await page.keyboard.press('Escape');
    await page.keyboard.press('2');
    await page.locator('.tables > li').first().waitFor();
    await look('tables');
    await page.keyboard.press('3');
    await page.locator('.topics summary').first().click();
    await page.locator('details[open] .message').first().waitFor();
    await look('topics');
  });
}
