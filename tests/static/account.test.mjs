// The console's user: a token is renewed in time, whatever this computer's clock says.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Account } from '../../static/console/account.js';

const { fetch } = globalThis;
afterEach(() => { globalThis.fetch = fetch; });

const answer = (status, document) => new Response(JSON.stringify(document), { status });

/** A gateway for which the token `old` has ended. Gives the paths asked for. */
function gateway() {
  const asked = [];
  globalThis.fetch = async (path, { headers, body }) => {
    asked.push(path);
    if (path === '/api/v1/auth/refresh') return answer(200, { access_token: 'new', refresh_token: `after ${JSON.parse(body).refresh_token}` });
    return headers.Authorization === 'Bearer new' ? answer(200, { ticket: 'a ticket' }) : answer(401, { code: 'TOKEN_EXPIRED', detail: 'the token has expired' });
  };
  return asked;
}

/** Tokens without a time, as with a clock that is slow: none seems to end. */
function signedIn(refreshToken) {
  const account = new Account();
  account.keep('old', refreshToken);
  return account;
}

test('a ticket is asked for with a new token after the old one was refused', async () => {
  const asked = gateway();
  const account = signedIn('first');
  assert.equal(await account.ticket(), 'a ticket');
  assert.deepEqual(asked, ['/api/v1/auth/ticket', '/api/v1/auth/refresh', '/api/v1/auth/ticket']);
  assert.deepEqual([account.token, account.refreshToken], ['new', 'after first']);
});

test('a token that cannot be renewed is refused once', async () => {
  const asked = gateway();
  await assert.rejects(signedIn('').ticket(), { code: 'TOKEN_EXPIRED' });
  assert.deepEqual(asked, ['/api/v1/auth/ticket']);
});

test('when the gateway says that the token ends soon, it is renewed', async () => {
  gateway();
  assert.equal(await signedIn('first').renew(), 'new');
});

test('without a refresh token the user is told to sign in', async () => {
  const asked = gateway();
  await assert.rejects(signedIn('').renew(), /sign in again/);
  assert.deepEqual(asked, []);
});
