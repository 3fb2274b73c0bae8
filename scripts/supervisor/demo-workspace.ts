import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient, MongoServerSelectionError } from 'mongodb';
import { ApiError, ConsoleApi } from './console-api.ts';
import { seedAcmeTrading } from './demo-data.ts';
import { GeneratedSecrets } from './generated-secrets.ts';
import { StartError } from './settings.ts';

export const demoDatabase = 'acme_trading';
export const demoSlug = 'acme-trading';
/** Of nobody. */
const demoPhone = '+12025550123';

const roles = ['OWNER', 'ADMIN', 'OPERATOR', 'RESTORER', 'VIEWER'] as const;

export interface DemoMember {
  readonly role: (typeof roles)[number];
  readonly email: string;
  readonly password: string;
}

export interface DemoSetting {
  readonly url: string;
  readonly admin: { readonly email: string; readonly password: string };
  readonly mongoUri: string;
  readonly dataDir: string;
}

/** Makes the workspace "Acme Trading" with its data and a member of each role, or completes what an earlier start made. */
export async function ensureDemoWorkspace(setting: DemoSetting): Promise<readonly DemoMember[]> {
  await seed(setting).catch((cause: unknown) => {
    if (cause instanceof MongoServerSelectionError) throw new StartError(`MONGODB_URI: the server cannot be reached (${cause.message})`, { cause });
    throw cause;
  });
  const api = new ConsoleApi(setting.url);
  await api.login(setting.admin.email, setting.admin.password);
  const tenantId = await ensureTenant(api, setting);

  const secrets = new GeneratedSecrets(setting.dataDir);
  const present = await memberEmails(api, tenantId);
  const members: DemoMember[] = [];
  for (const role of roles) {
    const name = role.toLowerCase();
    const email = `${name}@acme-trading.example`;
    const password = await secrets.read(await secrets.password(`demo-${name}-password`));
    if (!present.has(email)) await invite(api, { tenantId, email, name: `${name[0]?.toUpperCase()}${name.slice(1)} of Acme`, role, password, phone: demoPhone });
    members.push({ role, email, password });
  }
  return members;
}

/** Fills an empty database; one that holds anything is somebody's work by now and stays as it is. */
async function seed({ mongoUri, dataDir }: DemoSetting): Promise<void> {
  const client = new MongoClient(mongoUri, { serverSelectionTimeoutMS: 10_000 });
  // Lies there while the data is being written: found at the next start, it says that what is there is half a demo.
  const unfinished = join(dataDir, 'demo-unfinished');
  try {
    const db = client.db(demoDatabase);
    if (existsSync(unfinished)) await db.dropDatabase();
    else if ((await db.listCollections({}, { nameOnly: true }).toArray()).length > 0) return;
    await writeFile(unfinished, '');
    await seedAcmeTrading(db);
    await rm(unfinished);
  } finally {
    await client.close();
  }
}

async function findTenant(api: ConsoleApi): Promise<string | null> {
  try {
    const { tenant } = await api.query<{ tenant: { id: string } | null }>('query ($slug: String) { tenant(slug: $slug) { id } }', { slug: demoSlug });
    return tenant?.id ?? null;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'NOT_FOUND') return null;
    throw error;
  }
}

async function createTenant(api: ConsoleApi, uri: string): Promise<string> {
  const { tenant } = await api.mutate<{ tenant: { id: string } }>(
    'tenantCreate',
    { slug: demoSlug, name: 'Acme Trading', environment: 'SANDBOX', timeZone: 'Europe/Berlin', target: { engine: 'MONGODB', uri, database: demoDatabase } },
    'tenant { id }',
  );
  return tenant.id;
}

async function ensureTenant(api: ConsoleApi, { mongoUri, dataDir }: DemoSetting): Promise<string> {
  const known = await findTenant(api);
  const tenantId = known ?? (await createTenant(api, mongoUri));
  const file = join(dataDir, 'demo-target');
  // The address may hold a password, so only its hash is kept.
  const mark = createHash('sha256').update(`${tenantId}\n${mongoUri}`).digest('hex');
  if ((await readFile(file, 'utf8').catch(() => '')) === mark) return tenantId;
  // The embedded mongod may have come back on another port, and MONGODB_URI may have been changed.
  if (known !== null) await api.mutate('tenantUpdate', { tenantId, target: { uri: mongoUri, database: demoDatabase } }, 'tenant { id }');
  await writeFile(file, mark, { mode: 0o600 });
  return tenantId;
}

async function memberEmails(api: ConsoleApi, tenantId: string): Promise<Set<string>> {
  const { tenant } = await api.query<{ tenant: { members: { edges: readonly { node: { email: string | null } }[] } } }>(
    'query ($id: ID) { tenant(id: $id) { members(first: 100) { edges { node { email } } } } }',
    { id: tenantId },
  );
  return new Set(tenant.members.edges.flatMap(({ node }) => (node.email === null ? [] : [node.email.toLowerCase()])));
}

async function invite(api: ConsoleApi, input: { tenantId: string; email: string; name: string; role: string; password: string; phone: string }): Promise<void> {
  try {
    await api.mutate('memberInvite', input, 'member { id }');
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'MEMBER_EXISTS')) throw error;
  }
}
