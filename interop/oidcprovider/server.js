// oidc-provider as its documentation sets it up, with a login form that asks for
// a password, for clients that the tests register:
//
//   node server.js PORT
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { json } from 'node:stream/consumers';
import Provider from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const password = 'correct horse';
const code = '123456'; // of everybody's second factor
const people = {
  ada: { name: 'Ada Lovelace', groups: ['staff', 'admins'] },
  ben: { name: 'Ben Jonson', groups: ['staff'] },
};

// The key that signs comes first. Each start makes a new one under the same kid.
const keys = [newKey('first')];
const apiScopes = 'orders:read orders:write';
const clients = [];
const grace = 30; // seconds that a refresh token can be used again after a rotation, if its client has them
let provider = newProvider();

// Storage is what oidc-provider uses by default, shared by all that newProvider makes. A
// client's rotation is "always" unless it says "never", or "grace": a refresh token that was
// used can then be used again for a while, as with Auth0's overlap period or Okta's grace
// period.
function Storage(model) {
  const storage = new MemoryAdapter(model);
  if (model === 'RefreshToken') {
    const find = storage.find.bind(storage);
    storage.find = async (id) => {
      const token = await find(id);
      const client = token?.consumed && clients.find((c) => c.client_id === token.clientId);
      if (client?.rotation !== 'grace' || Date.now() / 1000 > token.consumed + grace) return token;
      return { ...token, consumed: undefined };
    };
  }
  return storage;
}

// api is what a resource of a client's request is: an API of somebody's, with access tokens
// for it, which are opaque if its address ends so.
function api(resource) {
  return { audience: resource, scope: apiScopes, accessTokenFormat: resource.endsWith('/opaque') ? 'opaque' : 'jwt' };
}

function newKey(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' };
}

function newProvider() {
  return new Provider(issuer, {
    adapter: Storage,
    clients,
    extraClientMetadata: { properties: ['rotation'] },
    rotateRefreshToken: (ctx) => ctx.oidc.client.rotation !== 'never',
    jwks: { keys },
    cookies: { keys: ['for tests'] },
    acrValues: ['pwd', 'mfa'],
    claims: { openid: ['sub', 'groups'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => api(resource),
        useGrantedResource: () => true,
      },
    },
    // By itself it calls no address of a private network.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (ctx, id) => people[id] && {
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.com`, email_verified: true, ...people[id] }),
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  });
}

const page = (body) => `<!doctype html><title>Sign in</title>${body}`;
const text = (value) => (value ?? '').replace(/[&<>"]/g, (c) => `&#${c.charCodeAt()};`);
// With a code the person has authenticated with two factors. ago is how many seconds
// before now they did, which the tests fill in.
const loginForm = (says, { login_hint: hint }) => page(`<p>${says}</p><form method="post">
<input name="username" value="${text(hint)}"><input name="password" type="password"><input name="code"><input name="ago" type="hidden" value="0">
<button name="do" value="login">Sign in</button><button name="do" value="abort">Cancel</button></form>`);
const consentForm = page(`<p>Let the application know who you are?</p><form method="post">
<button name="do" value="consent">Allow</button><button name="do" value="abort">Deny</button></form>`);

function html(response, status, body) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end(body);
}

// interact answers the person: it shows a form, or finishes what the form asked for.
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    return html(response, 200, prompt.name === 'login' ? loginForm('Who are you?', params) : consentForm);
  }
  let form = '';
  for await (const chunk of request) form += chunk;
  form = new URLSearchParams(form);
  const finish = (result) => provider.interactionFinished(request, response, result);
  switch (form.get('do')) {
    case 'login': {
      const accountId = form.get('username');
      const second = form.get('code');
      if (!people[accountId] || form.get('password') !== password || (second && second !== code)) {
        return html(response, 401, loginForm('Wrong user name, password or code.', params));
      }
      const ts = Math.floor(Date.now() / 1000) - Number(form.get('ago'));
      return finish({ login: { accountId, ts, acr: second ? 'mfa' : 'pwd', amr: second ? ['pwd', 'otp'] : ['pwd'] } });
    }
    case 'consent': {
      const grant = grantId ? await provider.Grant.find(grantId)
        : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      if (params.resource) grant.addResourceScope(params.resource, params.scope);
      return finish({ consent: { grantId: await grant.save() } });
    }
    default:
      return finish({ error: 'access_denied', error_description: 'the person said no' });
  }
}

// control is what the tests ask for: one more client, or another signing key.
async function control(request, response) {
  const asked = await json(request);
  if (request.url === '/control/client') {
    clients.push({ ...asked, client_secret: asked.client_secret || undefined });
  } else {
    keys.unshift(newKey(asked.kid));
  }
  provider = newProvider();
  response.writeHead(204).end();
}

createServer(async (request, response) => {
  try {
    if (request.url.startsWith('/control/')) {
      await control(request, response);
    } else if (request.url.startsWith('/interaction/')) {
      await interact(request, response);
    } else {
      await provider.callback()(request, response);
    }
  } catch (error) {
    console.error(error);
    html(response, 500, 'something went wrong: see the log');
  }
}).listen(port, '127.0.0.1');
