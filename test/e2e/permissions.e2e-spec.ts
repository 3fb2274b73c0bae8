import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { getNamedType, isCompositeType, isObjectType } from 'graphql';
import { startTestApp, type TestApp, testAdmin } from '../support/app.ts';
import { type AnswerError, type GraphqlClient, GraphqlFailure, SocketClosed } from '../support/graphql-client.ts';
import { type Call, calls } from './permissions/calls.ts';
import { createWorld, type Ids, type Role, roles, storeNames, type World } from './permissions/world.ts';
import { runFolder } from '../support/servers.ts';

/** The rows of the table in docs/permissions.md: which role may call what. */
const table = new Map(
  readFileSync(new URL('../../docs/permissions.md', import.meta.url), 'utf8')
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter((cells) => /^(Query|Mutation|Subscription|Tenant)\.\w+$/.test(cells[1] ?? ''))
    .map((cells) => [cells[1] ?? '', new Set(roles.filter((_, index) => cells[3 + index] === 'yes'))] as const),
);
const operations = [...table.keys()];

/** What stands in the way of a caller, as codes of top-level errors. */
const refusals = ['UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND'];

let app: TestApp;
let world: World;
beforeAll(async () => {
  const stores = storeNames.map((name) => [name, { url: pathToFileURL(join(runFolder(), 'permissions', name)).href }]);
  app = await startTestApp({ env: { HOLDFAST_STORES: JSON.stringify(Object.fromEntries(stores)) } });
  world = await createWorld(app);
});
afterAll(() => app.stop());

interface Outcome {
  /** Of the first top-level error; a closed socket counts as UNAUTHENTICATED. */
  readonly code: string | null;
  /** What a client can tell apart. */
  readonly told: string;
}

async function outcomeOf(name: string, call: Call, client: GraphqlClient, ids: Ids): Promise<Outcome> {
  const variables = await call.variables(ids);
  if (!name.startsWith('Subscription.')) {
    const { data, errors } = await client.send(call.document, variables);
    return outcome(data, errors);
  }
  const subscription = client.subscribe(call.document, variables);
  try {
    const first = await subscription.next();
    return first.done === true ? { code: 'ENDED', told: 'ended' } : outcome(first.value.data, first.value.errors);
  } catch (error) {
    if (error instanceof GraphqlFailure) return outcome(null, error.errors);
    if (error instanceof SocketClosed) return { code: [4401, 4403].includes(error.code) ? 'UNAUTHENTICATED' : `CLOSED ${error.code}`, told: String(error.code) };
    throw error;
  } finally {
    await subscription.return();
  }
}

function outcome(data: unknown, errors: readonly AnswerError[] | undefined): Outcome {
  return { code: errors?.[0]?.extensions.code ?? null, told: JSON.stringify([data ?? null, errors?.map(({ message, extensions }) => [message, extensions])]) };
}

async function clientOf(role: Role, call: Call): Promise<GraphqlClient> {
  const client = world.clients.get(role);
  if (client === undefined) throw new Error(`Nobody is ${role}`);
  if (call.endsLogin === undefined || role === 'not logged in') return client;
  const email = 'email' in client ? String(client.email) : testAdmin.email;
  return app.login(email, role === 'Provider' ? testAdmin.password : `password of ${email}`);
}

function callOf(name: string): Call {
  const call = calls[name];
  if (call === undefined) throw new Error(`test/e2e/permissions/calls.ts has no call for ${name}`);
  return call;
}

describe('the table of permissions', () => {
  it('has a row for every query, mutation, subscription and field of a tenant that is more than a value, and no other', () => {
    const { schema } = app.nest.get(GraphQLSchemaHost);
    const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
      Object.keys(type?.getFields() ?? {}).map((field) => `${type?.name}.${field}`),
    );
    const tenant = schema.getType('Tenant');
    const owned = isObjectType(tenant) ? Object.values(tenant.getFields()).filter((field) => isCompositeType(getNamedType(field.type)) || field.args.length > 0) : [];
    expect([...operations].sort()).toEqual([...fields, ...owned.map(({ name }) => `Tenant.${name}`)].sort());
    expect(Object.keys(calls).sort()).toEqual([...operations].sort());
  });
});

describe.each(operations)('%s', (name) => {
  it.each(roles)('answers %s as the table says', async (role) => {
    const call = callOf(name);
    const { code, told } = await outcomeOf(name, call, await clientOf(role, call), world.own);
    if (table.get(name)?.has(role) === true) {
      if (code !== null) throw new Error(`${role} was refused: ${told}`);
    } else {
      expect(code).toBe(role === 'not logged in' ? 'UNAUTHENTICATED' : 'FORBIDDEN');
    }
  });

  if (calls[name]?.namesTenant === true) {
    it.each(roles.filter((role) => role !== 'Provider'))("tells %s the same of another tenant's ids as of unknown ones", async (role) => {
      const call = callOf(name);
      const client = await clientOf(role, call);
      const foreign = await outcomeOf(name, call, client, world.other);
      const unknown = await outcomeOf(name, call, client, world.unknown);
      expect(refusals).toContain(foreign.code);
      expect(foreign.told).toBe(unknown.told);
    });

    it('gives a viewer who owns another tenant no more than a viewer', async () => {
      const { code, told } = await outcomeOf(name, callOf(name), world.viewerWhoOwnsTheOther, world.own);
      if (table.get(name)?.has('Viewer') === true) {
        if (code !== null) throw new Error(`The viewer was refused: ${told}`);
      } else {
        expect(code).toBe('FORBIDDEN');
      }
    });
  }
});

describe('transports', () => {
  const notSubscriptions = operations.filter((name) => !name.startsWith('Subscription.'));
  it.each(notSubscriptions)('refuses %s on a socket, even to the provider', async (name) => {
    const call = callOf(name);
    const provider = world.clients.get('Provider');
    const refused = provider?.subscribe(call.document, await call.variables(world.unknown)).next();
    await expect(refused).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it.each(operations.filter((name) => name.startsWith('Subscription.')))('refuses %s by POST, even to the provider', async (name) => {
    const call = callOf(name);
    expect(await world.clients.get('Provider')?.codeOf(call.document, { ...(await call.variables(world.own)) })).toBe('BAD_USER_INPUT');
  });
});

describe('lists', () => {
  it("shows a member the own tenant alone", async () => {
    const list = '{ tenants { edges { node { id } } } viewer { tenants { edges { node { id } } } } }';
    const seen = await world.clients.get('Owner')?.run(list);
    const only = { edges: [{ node: { id: world.own.tenant } }] };
    expect(seen).toEqual({ tenants: only, viewer: { tenants: only } });
  });
});
