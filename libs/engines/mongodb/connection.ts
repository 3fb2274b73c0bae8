import { AppError } from '#errors';
import { MongoClient, type Db, type Document, type MongoClientOptions } from 'mongodb';
import type { Pace, Target } from '../port.js';
import { mostCatalogueChanges } from './catalogue-changes.js';
import { serverCodeOf, toConnectError } from './errors.js';

/** What every part of the engine works with: one client on one tenant's database. */
export interface MongodbContext {
  readonly client: MongoClient;
  readonly db: Db;
  readonly server: ServerFacts;
  /** Null: documents are read and written as fast as it goes. */
  readonly pace: Pace | null;
}

export interface ServerFacts {
  /** x.y.z, without a suffix. */
  readonly version: string;
  /** [major, minor, patch] */
  readonly versionNumbers: readonly [number, number, number];
  readonly featureCompatibility: string;
  readonly topology: 'replicaSet' | 'standalone';
  readonly deployment: string;
}

const connectLimitMs = 9_500;
const reservedDatabases = new Set(['admin', 'local', 'config']);
const oldestMajor = 6;

const clientOptions: MongoClientOptions = {
  appName: 'holdfast',
  serverSelectionTimeoutMS: 8_000,
  connectTimeoutMS: 8_000,
  // A server that stops answering without closing its sockets is found by the monitor, within this and connectTimeoutMS,
  // which then breaks the connections in use. A socket timeout would also end long index builds.
  heartbeatFrequencyMS: 5_000,
  readPreference: 'primary',
  retryReads: true,
  compressors: ['none'],
  minPoolSize: 0,
  maxPoolSize: mostCatalogueChanges,
  maxIdleTimeMS: 60_000,
  monitorCommands: false,
};

/**
 * Connects to the target's primary and refuses what this engine does not support.
 * Throws TARGET_INVALID, TARGET_REFUSED, TARGET_UNREACHABLE (within 10 s), TARGET_AUTH_FAILED and TARGET_UNSUPPORTED.
 * Whoever calls it closes `client`.
 */
export async function connect(target: Target): Promise<MongodbContext> {
  requireDatabaseName(target.database);
  requireScheme(target.uri);
  let client: MongoClient;
  try {
    client = new MongoClient(target.uri, clientOptions);
  } catch (error) {
    throw new AppError('TARGET_INVALID', 'The connection string of the database cannot be read', { cause: error, field: ['uri'] });
  }
  try {
    if (client.options.loadBalanced) throw new AppError('TARGET_UNSUPPORTED', 'Load-balanced deployments are not supported');
    const server = await withinLimit(readServerFacts(client, target));
    return { client, db: client.db(target.database), server, pace: null };
  } catch (error) {
    // Not awaited: closing may itself wait for the server that does not answer.
    void client.close().catch(() => undefined);
    throw toConnectError(error);
  }
}

/** DNS look-ups of mongodb+srv and half-open servers have limits of their own that add up to more than ours. */
async function withinLimit<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AppError('TARGET_UNREACHABLE', 'No database server answers at the given address')), connectLimitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function requireScheme(uri: string): void {
  if (!/^mongodb(\+srv)?:\/\/./.test(uri)) {
    throw new AppError('TARGET_INVALID', 'The connection string must begin with mongodb:// or mongodb+srv://', { field: ['uri'] });
  }
}

function requireDatabaseName(name: string): void {
  const field = { field: ['database'] };
  if (name === '' || Buffer.byteLength(name) > 63 || /[/\\. "$\0]/.test(name)) {
    throw new AppError('TARGET_REFUSED', 'The name is no valid name of a database', field);
  }
  if (reservedDatabases.has(name.toLowerCase()) || name.startsWith('__mdb_internal')) {
    throw new AppError('TARGET_REFUSED', `The database "${name}" belongs to the server itself`, field);
  }
}

async function readServerFacts(client: MongoClient, target: Target): Promise<ServerFacts> {
  await client.connect();
  const admin = client.db('admin');
  const hello = await admin.command({ hello: 1 });
  if (hello['msg'] === 'isdbgrid') throw new AppError('TARGET_UNSUPPORTED', 'Sharded clusters are not supported');
  if (typeof hello['setName'] === 'string' && hello['isWritablePrimary'] !== true) {
    throw new AppError('TARGET_UNREACHABLE', 'The replica set has no primary at the given address');
  }
  const build = await admin.command({ buildInfo: 1 });
  const versionNumbers = parseVersion(build['version']);
  if (versionNumbers[0] < oldestMajor) {
    throw new AppError('TARGET_UNSUPPORTED', `MongoDB ${versionNumbers.join('.')} is not supported; 6.0 is the oldest version that is`);
  }
  await refuseQueryableEncryption(client.db(target.database));
  return {
    version: versionNumbers.join('.'),
    versionNumbers,
    featureCompatibility: await readFeatureCompatibility(client, versionNumbers),
    topology: typeof hello['setName'] === 'string' ? 'replicaSet' : 'standalone',
    deployment: deploymentOf(hello, client),
  };
}

function parseVersion(text: unknown): [number, number, number] {
  const match = typeof text === 'string' ? /^(\d+)\.(\d+)\.(\d+)/.exec(text) : null;
  if (!match) throw new AppError('TARGET_UNSUPPORTED', 'The database server does not tell its version');
  return [Number(match[1]), Number(match[2]), Number(match[3])];
}

/** Neither we nor the public tools can copy such collections so that they still decrypt. Also proves that the user may list collections. */
async function refuseQueryableEncryption(db: Db): Promise<void> {
  const encrypted = await db.listCollections({ 'options.encryptedFields': { $exists: true } }).toArray();
  if (encrypted.length > 0) {
    const names = encrypted.map(({ name }) => `"${name}"`).join(', ');
    throw new AppError('TARGET_UNSUPPORTED', `Queryable Encryption is not supported; it is used by ${names}`);
  }
}

/** Reading it takes a privilege on the cluster that a database's owner lacks; then it is at most the server's own version. */
async function readFeatureCompatibility(client: MongoClient, version: readonly [number, number, number]): Promise<string> {
  try {
    const reply = await client.db('admin').command({ getParameter: 1, featureCompatibilityVersion: 1 });
    const found = reply['featureCompatibilityVersion'] as { readonly version?: unknown } | undefined;
    if (typeof found?.version === 'string') return found.version;
  } catch (error) {
    if (serverCodeOf(error) === undefined) throw error;
  }
  return `${version[0]}.${version[1]}`;
}

/**
 * The replica set's name and the hosts of its configuration: the same for every user and every way of reaching it.
 * `replicaSetId` would also outlive a change of members, but only users with a role on the cluster may read it: two
 * tenants on one database would then get two ids, one with it and one without, and their sharing would go unseen.
 * `electionId`, `topologyVersion` and the signing key's id change with elections, restarts and time.
 */
function deploymentOf(hello: Document, client: MongoClient): string {
  const members = ['hosts', 'passives', 'arbiters'].flatMap((field) => (hello[field] as string[] | undefined) ?? []);
  if (typeof hello['setName'] === 'string') return `${hello['setName']}/${sorted(members)}`;
  return `standalone/${sorted(client.options.hosts.map(String))}`;
}

function sorted(hosts: readonly string[]): string {
  return hosts.map((host) => host.toLowerCase()).sort().join(',');
}
