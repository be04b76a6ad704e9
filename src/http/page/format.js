// Values as texts, and texts as elements. Pure but for h() and svg(), which make elements.

/// An element with properties (class, data, on, or an attribute each) and children. Texts stay texts:
/// nothing that came from the stream is ever parsed as HTML.
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'on')
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/// Sets it only where it differs: what has not changed costs no layout.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// --- exact JSON --------------------------------------------------------------------------------------------------------

// A number that JavaScript would round, or write in another way, is kept as its text behind this mark,
// which no text of PostgreSQL can hold.
const mark = '\u0000';
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/// JSON, with such numbers as exact texts: text() and json() write them as they came.
export function parseExact(source) {
  return JSON.parse(
    source.replace(tokens, (token) =>
      token[0] === '"' || String(Number(token)) === token ? token : `"\\u0000${token}"`,
    ),
  );
}

export function isExact(value) {
  return typeof value === 'string' && value.startsWith(mark);
}

/// As JSON, exact numbers included.
export function json(value) {
  return JSON.stringify(value).replace(/"\\u0000([^"]*)"/g, '$1');
}

/// A value of a column as it is shown.
export function text(value) {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return isExact(value) ? value.slice(1) : value;
  return typeof value === 'object' ? json(value) : String(value);
}

export function same(a, b) {
  return a === b || (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null && json(a) === json(b));
}

/// JSON with a line for each member, but what describes the message, its schema, in one. What is not
/// JSON stays as it is.
export function indented(source) {
  const pieces = source.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  if (pieces === null || !/^\s*[{[]/.test(source)) return source;
  const isOpening = (piece) => piece === '{' || piece === '[';
  const isClosing = (piece) => piece === '}' || piece === ']';
  let out = '';
  let depth = 0;
  for (let i = 0; i < pieces.length; ++i) {
    const piece = pieces[i];
    const line = () => '\n' + '  '.repeat(depth);
    if (depth === 1 && isOpening(piece) && pieces[i - 2] === '"schema"') {
      for (let inner = 1; inner > 0 && i + 1 < pieces.length;) inner += isOpening(pieces[++i]) - isClosing(pieces[i]);
      out += '{ … }';
    } else if (isOpening(piece)) {
      out += piece;
      if (isClosing(pieces[i + 1])) continue;
      depth += 1;
      out += line();
    } else if (isClosing(piece)) {
      if (!isOpening(pieces[i - 1])) {
        depth = Math.max(0, depth - 1);
        out += line();
      }
      out += piece;
    } else if (piece === ',') {
      out += piece + line();
    } else {
      out += piece === ':' ? ': ' : piece;
    }
  }
  return out;
}

// --- figures -----------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

export function count(number) {
  return whole.format(number);
}

/// A rate: 0, 0.3, 12, 5,120.
export function rate(perSecond) {
  return perSecond > 0 && perSecond < 10 ? tenth.format(Math.max(0.1, perSecond)) : whole.format(perSecond);
}

export function plural(number, one, many = one + 's') {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function bytes(number) {
  if (number < 1024) return `${number} B`;
  return number < 1048576 ? `${tenth.format(number / 1024)} KiB` : `${tenth.format(number / 1048576)} MiB`;
}

export function duration(ms) {
  if (ms < 1) return 'under 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${tenth.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${whole.format(Math.floor(hours / 24))} days`;
}

const two = (number) => String(number).padStart(2, '0');

/// 21:50:03.988, with the day if it is not today's.
export function clock(ms) {
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === new Date().toDateString())
    return `${time}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

export function instant(ms) {
  return new Date(ms).toISOString();
}

export function shortened(value, most) {
  return value.length <= most ? value : `${value.slice(0, most - 1)}…`;
}

// --- charts ------------------------------------------------------------------------------------------------------------

/// The path of an area over `values`, newest at the right, in a box of width × height.
export function area(values, length, width, height) {
  const most = Math.max(...values, 1);
  const step = width / (length - 1);
  const first = length - values.length;
  const points = values.map(
    (value, i) => `${((first + i) * step).toFixed(1)} ${(height - (value / most) * (height - 1)).toFixed(1)}`,
  );
  if (points.length === 0) return '';
  return `M${(first * step).toFixed(1)} ${height}L${points.join('L')}L${width} ${height}Z`;
}
