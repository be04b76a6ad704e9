// Requests to the daemon, and the token that it may ask for.

import { askForToken } from './dialogs.js';

const tokenKey = 'lockstep.token';

// setup.sh hands it over behind a #, which a browser sends nowhere.
const handed = new URLSearchParams(location.hash.slice(1)).get('token');
if (handed) {
  sessionStorage.setItem(tokenKey, handed);
  history.replaceState(null, '', location.pathname + location.search);
}

export function token() {
  return sessionStorage.getItem(tokenKey) ?? '';
}

/// What the daemon has answered instead of what it was asked for.
export class Refused extends Error {
  constructor(status, error, detail) {
    super(detail ? `${error}: ${detail}` : error);
    this.status = status;
  }
}

/// The text of an answer; asks for the token where the daemon wants one. Throws Refused, or an Error
/// that says that there was no answer within `deadline` ms.
export async function request(path, { method = 'GET', deadline = 10000 } = {}) {
  for (;;) {
    const shown = token();
    const headers = shown ? { Authorization: `Bearer ${shown}` } : {};
    let response;
    let body;
    try {
      response = await fetch(path, { method, headers, cache: 'no-store', signal: AbortSignal.timeout(deadline) });
      body = await response.text();
    } catch (error) {
      throw new Error(
        error.name === 'TimeoutError' ? `no answer within ${deadline / 1000} s` : 'the daemon does not answer',
      );
    }
    if (response.ok) return body;
    const refusal = refusalOf(response.status, body);
    if (response.status !== 401) throw refusal;
    if (token() !== shown) continue; // it was asked for by another request meanwhile
    const given = await askForToken(shown ? refusal.message : '');
    if (given === null) throw refusal;
    sessionStorage.setItem(tokenKey, given);
  }
}

function refusalOf(status, body) {
  try {
    const { error, detail } = JSON.parse(body);
    if (error) return new Refused(status, error, detail);
  } catch {
    // Not the daemon's own answer: a proxy's, say.
  }
  return new Refused(status, `HTTP ${status}`, body.slice(0, 200));
}
