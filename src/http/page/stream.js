// The WebSocket: connects, and connects again when it is lost.

import { Refused, request, token } from './api.js';
import { parseExact } from './format.js';

const replacedCode = 4000;
const leastWait = 500;
const mostWait = 15000;

/// One id a window. A window that was duplicated has the same one, until it is told that it is replaced.
function clientId(anew = false) {
  const key = 'lockstep.client';
  let id = sessionStorage.getItem(key);
  if (anew || !id) {
    id = newId();
    sessionStorage.setItem(key, id);
  }
  return id;
}

/// crypto.randomUUID is for https and localhost only.
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/// Calls onMessage(message) and onState(state, detail); a state is
///   connecting; live; lost (detail: ms until the next try); replaced; refused (detail: what the
///   daemon says). The last two stay until again() is called.
export class Stream {
  constructor({ onMessage, onState }) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.wait = leastWait;
    this.timer = 0;
    this.state = 'connecting';
    addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.hurry();
    });
  }

  /// Somebody wants it now.
  again() {
    const anew = this.state === 'replaced';
    clearTimeout(this.timer);
    this.wait = leastWait;
    this.connect(anew);
  }

  hurry() {
    if (this.state === 'lost') this.again();
  }

  tell(state, detail) {
    this.state = state;
    this.onState(state, detail);
  }

  connect(anew = false) {
    if (this.state !== 'connecting') this.tell('connecting');
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/${clientId(anew)}`;
    let socket;
    try {
      socket = new WebSocket(url, token() ? ['lockstep', `bearer.${token()}`] : []);
    } catch {
      this.tell(
        'refused',
        'this token has characters that a browser can’t send on a WebSocket: choose one of letters, digits and -._~ as http.token',
      );
      return;
    }
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.wait = leastWait;
      this.tell('live');
    };
    socket.onmessage = (event) => this.onMessage(parseExact(event.data));
    socket.onclose = (event) => {
      if (event.code === replacedCode) this.tell('replaced');
      else this.lost(opened);
    };
  }

  async lost(wasOpen) {
    // A browser does not tell why a WebSocket was refused: a request does.
    if (!wasOpen) {
      const before = token();
      try {
        await request('/topics');
      } catch (error) {
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
          this.tell('refused', error.message);
          return;
        }
      }
      if (token() !== before) {
        this.connect();
        return;
      }
    }
    const wait = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(mostWait, this.wait * 2);
    this.tell('lost', wait);
    this.timer = setTimeout(() => this.connect(), wait);
  }
}
