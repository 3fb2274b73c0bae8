// The sandbox page of /graphql: everything it needs is served from here, so it works on a closed network.
'use strict';

const byId = (id) => document.getElementById(id);
const endpoint = location.pathname;
const tokenKey = 'holdfast-token';
let token = sessionStorage.getItem(tokenKey);
let types = new Map();
let socket = null;

const firstDocument = `# Log in above, then run this. Every operation is listed on the left: a click writes it here.
query {
  viewer { email isProvider }
  tenants { edges { node { id slug name status } } }
}
`;

function say(text, bad = false) {
  byId('notice').textContent = text;
  byId('notice').className = bad ? 'bad' : '';
}

async function post(query, variables) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

// ---- Session -------------------------------------------------------------------------------------------------------

byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const input = { email: byId('email').value, password: byId('password').value };
  try {
    const answer = await post('mutation ($input: LoginInput!) { login(input: $input) { accessToken userErrors { message hint } } }', { input });
    const problem = answer.errors?.[0] ?? answer.data.login.userErrors[0];
    if (problem) return say(`${problem.message}. ${problem.hint ?? problem.extensions?.hint ?? ''}`, true);
    byId('password').value = '';
    token = answer.data.login.accessToken;
    sessionStorage.setItem(tokenKey, token);
    await enter();
  } catch {
    say('The server does not answer', true);
  }
});

byId('logout').addEventListener('click', async () => {
  stop('');
  await post('mutation { logout(input: {}) { userErrors { code } } }').catch(() => undefined);
  leave('Logged out');
});

function leave(message) {
  token = null;
  sessionStorage.removeItem(tokenKey);
  byId('login').hidden = false;
  byId('session').hidden = true;
  say(message);
}

async function enter() {
  const { data, errors } = await post('{ viewer { email isProvider } }');
  if (errors) return leave(errors[0].message);
  byId('login').hidden = true;
  byId('session').hidden = false;
  byId('who').textContent = `${data.viewer.email ?? 'Logged in'}${data.viewer.isProvider ? ' (provider)' : ''}`;
  say('');
  await readSchema();
}

// ---- Operations from the schema ------------------------------------------------------------------------------------

const typeRef = 'kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }';
const introspection = `{ __schema { queryType { name } mutationType { name } subscriptionType { name } types { kind name
  fields { name description type { ${typeRef} } args { name type { ${typeRef} } defaultValue } }
  inputFields { name type { ${typeRef} } } enumValues { name } possibleTypes { name } } } }`;

const named = (type) => (type.ofType ? named(type.ofType) : type.name);
const printed = (type) => (type.kind === 'NON_NULL' ? `${printed(type.ofType)}!` : type.kind === 'LIST' ? `[${printed(type.ofType)}]` : type.name);
const isLeaf = (name) => ['SCALAR', 'ENUM'].includes(types.get(name)?.kind);

async function readSchema() {
  const { data } = await post(introspection);
  if (!data) return;
  const { queryType, mutationType, subscriptionType, types: all } = data.__schema;
  types = new Map(all.map((type) => [type.name, type]));
  const list = byId('operations');
  list.replaceChildren();
  for (const [kind, root] of [['query', queryType], ['mutation', mutationType], ['subscription', subscriptionType]]) {
    if (!root) continue;
    const title = document.createElement('h2');
    title.textContent = kind;
    list.append(title);
    for (const field of types.get(root.name).fields) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = field.name;
      button.title = field.description ?? '';
      button.addEventListener('click', () => write(kind, field));
      list.append(button);
    }
  }
  filter();
}

function write(kind, field) {
  const variables = Object.fromEntries(field.args.filter((arg) => arg.type.kind === 'NON_NULL').map((arg) => [arg.name, sample(arg.type, 0)]));
  const declared = field.args.map((arg) => `$${arg.name}: ${printed(arg.type)}`).join(', ');
  const passed = field.args.map((arg) => `${arg.name}: $${arg.name}`).join(', ');
  const body = selection(named(field.type), 1, [], kind === 'query' ? 2 : 3);
  byId('document').value = `${field.description ? `# ${field.description}\n` : ''}${kind}${declared ? ` (${declared})` : ''} {\n  ${field.name}${passed ? `(${passed})` : ''}${body}\n}\n`;
  byId('variables').value = JSON.stringify(variables, null, 2);
}

/** Every plain field, and objects a few levels down. */
function selection(name, indent, above, levels) {
  if (isLeaf(name)) return '';
  const type = types.get(name);
  const pad = '  '.repeat(indent + 1);
  const lines = [];
  if (type.kind === 'UNION') for (const { name: possible } of type.possibleTypes) lines.push(`${pad}... on ${possible}${selection(possible, indent + 1, [...above, name], levels - 1)}`);
  for (const field of type.fields ?? []) {
    const inner = named(field.type);
    if (field.args.some((arg) => arg.type.kind === 'NON_NULL' && arg.defaultValue === null)) continue;
    if (isLeaf(inner)) lines.push(pad + field.name);
    else if (levels > 0 && !above.includes(inner) && !/Connection$/.test(inner)) lines.push(pad + field.name + selection(inner, indent + 1, [...above, name], levels - 1));
    else if (/Connection$/.test(name) || /Edge$/.test(name)) lines.push(pad + field.name + selection(inner, indent + 1, [...above, name], Math.max(1, levels)));
  }
  return lines.length === 0 ? ' { __typename }' : ` {\n${lines.join('\n')}\n${'  '.repeat(indent)}}`;
}

function sample(type, depth) {
  if (type.kind === 'NON_NULL') return sample(type.ofType, depth);
  if (type.kind === 'LIST') return [];
  const found = types.get(type.name);
  if (found?.kind === 'ENUM') return found.enumValues[0].name;
  if (found?.kind === 'INPUT_OBJECT') return depth > 3 ? {} : Object.fromEntries(found.inputFields.filter((field) => field.type.kind === 'NON_NULL').map((field) => [field.name, sample(field.type, depth + 1)]));
  return { Int: 0, Float: 0, Boolean: false }[type.name] ?? '';
}

function filter() {
  const wanted = byId('search').value.trim().toLowerCase();
  for (const button of byId('operations').querySelectorAll('button')) button.hidden = !button.textContent.toLowerCase().includes(wanted);
}
byId('search').addEventListener('input', filter);

// ---- Running -------------------------------------------------------------------------------------------------------

function show(answer) {
  byId('result').textContent = JSON.stringify(answer, null, 2);
  const percent = findPercent(answer);
  byId('progress').hidden = percent === undefined;
  if (percent === undefined) return;
  if (percent === null) byId('progress').removeAttribute('value');
  else byId('progress').value = percent;
}

function findPercent(value) {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('percent' in value) return value.percent;
  for (const inner of Object.values(value)) {
    const found = findPercent(inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function run() {
  stop('');
  const query = byId('document').value;
  let variables;
  try {
    variables = JSON.parse(byId('variables').value.trim() || '{}');
  } catch (error) {
    return show({ errors: [{ message: `The variables are not JSON: ${error.message}` }] });
  }
  if (/^\s*subscription\b/m.test(query.replace(/#.*$/gm, ''))) return subscribe(query, variables);
  byId('state').textContent = 'Running';
  const began = performance.now();
  try {
    show(await post(query, variables));
    byId('state').textContent = `${Math.round(performance.now() - began)} ms`;
  } catch {
    byId('state').textContent = 'The server does not answer';
  }
}

function subscribe(query, variables) {
  let events = 0;
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${endpoint}`, 'graphql-transport-ws');
  const own = socket;
  byId('stop').disabled = false;
  byId('state').textContent = 'Connecting';
  own.onopen = () => own.send(JSON.stringify({ type: 'connection_init', payload: token ? { authorization: `Bearer ${token}` } : {} }));
  own.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'connection_ack') own.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }));
    if (message.type === 'ping') own.send(JSON.stringify({ type: 'pong' }));
    if (message.type === 'connection_ack') byId('state').textContent = 'Waiting for events';
    if (message.type === 'next') {
      show(message.payload);
      byId('state').textContent = `${(events += 1)} events`;
    }
    if (message.type === 'error') show({ errors: message.payload });
    if (message.type === 'complete' || message.type === 'error') stop(`Complete after ${events} events`);
  };
  own.onclose = ({ code, reason }) => {
    if (socket === own) stop(`Closed: ${code} ${reason}`);
  };
}

function stop(state) {
  const own = socket;
  socket = null;
  own?.close(1000);
  byId('stop').disabled = true;
  byId('state').textContent = state;
}

byId('run').addEventListener('click', run);
byId('stop').addEventListener('click', () => stop('Stopped'));
document.addEventListener('keydown', (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
    event.preventDefault();
    void run();
  }
});

byId('document').value = firstDocument;
if (token) enter().catch(() => say('The server does not answer', true));
