import { mkdtemp, rm } from 'node:fs/promises';
import { chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { playStory } from './demo/story.ts';
import { demoDatabase, demoSlug, ensureDemoWorkspace } from './supervisor/demo-workspace.ts';
import { Holdfast } from './supervisor/holdfast.ts';
import { readSettings, StartError } from './supervisor/settings.ts';
import { stopOnSignals } from './supervisor/signals.ts';
import { freePort } from './servers/server-process.ts';
import { postgresFolder } from './servers/postgres.ts';

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** The main job, played against servers of its own that are gone afterwards. */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-demo-'));
  // PostgreSQL may run as another user.
  chmodSync(folder, 0o755);
  const env = { ...ownEnvironment(), HOLDFAST_DATA_DIR: folder, HOLDFAST_PORT: String(await freePort()) };
  const settings = await readSettings(env);
  const holdfast = new Holdfast(settings, env, (line) => say(`  ${line}`));
  const tidy = async () => {
    await holdfast.stop();
    await rm(postgresFolder(join(folder, 'postgres')), { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  };
  const stopping = stopOnSignals(tidy);
  try {
    say('Starting Holdfast with a PostgreSQL and a MongoDB of its own');
    const { url, admin, demoMongoUri: mongoUri } = await holdfast.start();
    if (admin === null || mongoUri === null) throw new Error('The demo has no administrator or no MongoDB');
    await ensureDemoWorkspace({ url, admin, mongoUri, dataDir: folder });
    await playStory({ url, ...admin, tenantSlug: demoSlug, mongoUri, database: demoDatabase, folder, say });
  } finally {
    if (!stopping.begun) await tidy();
  }
}

/** Nothing of a real installation: not its servers, its keys or its settings. What finds a mongod stays. */
function ownEnvironment(): Record<string, string | undefined> {
  const kept = new Set(['HOLDFAST_CACHE_DIR', 'MONGOD_BINARY']);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => kept.has(name) || !/^(HOLDFAST_|DATABASE_URL|MONGODB_URI|BACKUP_ENCRYPTION_|NODE_ENV)/.test(name)));
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`holdfast: ${error instanceof StartError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
