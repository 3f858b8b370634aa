// The console's user: a token is renewed in time, whatever this computer's clock says.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Account } from '../../static/console/account.js';

const { fetch } = globalThis;
const accounts = [];
afterEach(() => {
  globalThis.fetch = fetch;
  for (const { tabs } of accounts.splice(0)) tabs.close();
});

/** Web Locks, which Node 20 does not have. */
let free = Promise.resolve();
const locks = { request: (_name, act) => (free = free.catch(() => undefined).then(act)) };
Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });

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
  accounts.push(account);
  account.keep('old', refreshToken);
  return account;
}

/** A token of that sign-in, made so many seconds after it. */
const made = (fam, iat) => `.${btoa(JSON.stringify({ fam, iat, exp: 4e9 }))}.`;

/** Duplicated tabs of one sign-in, and a gateway that takes each refresh token once. Gives also the refresh tokens that it was shown. */
function duplicates(count) {
  const shown = [];
  globalThis.fetch = async (_path, { body }) => {
    const { refresh_token: spent } = JSON.parse(body);
    if (shown.includes(spent)) return answer(401, { code: 'TOKEN_REVOKED', detail: 'a refresh token was used twice' });
    shown.push(spent);
    return answer(200, { access_token: made('one', shown.length), refresh_token: `r${shown.length}` });
  };
  const tabs = Array.from({ length: count }, () => signedIn(''));
  for (const tab of tabs) tab.keep(made('one', 0), 'r0');
  return [shown, ...tabs];
}

test('duplicated tabs share the newest tokens, so that no refresh token is used twice', async () => {
  const [shown, one, other, third] = duplicates(3);
  await one.renew();
  assert.equal(await other.renew(), other.token);
  await Promise.all([one.renew(), third.renew(), other.renew()]);
  assert.equal(new Set(shown).size, shown.length);
  assert.equal(new Set([one, other, third].map(({ refreshToken }) => refreshToken)).size, 1);
});

test('a tab that slept gets the newest tokens from the others', async () => {
  const [shown, awake] = duplicates(1);
  await awake.renew();
  const asleep = signedIn(''); // opened again with what it had
  asleep.keep(made('one', 0), 'r0');
  assert.equal(await asleep.renew(), awake.token);
  assert.deepEqual(shown, ['r0']);
});

test('another sign-in is left alone', async () => {
  const [, one] = duplicates(1);
  const other = signedIn('');
  other.keep(made('other', 0), 'theirs');
  await one.renew();
  assert.equal(other.refreshToken, 'theirs');
});

test("a developer's token is renewed by this machine's gateway", async () => {
  globalThis.fetch = async (path) => (path === '/console/development-token' ? answer(200, { access_token: 'newer' }) : answer(404, {}));
  const account = signedIn('');
  account.keep(`.${btoa(JSON.stringify({ sub: 'developer', exp: 1 }))}.`);
  assert.equal(await account.fresh(), 'newer');
});

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
