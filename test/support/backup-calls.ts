import { Binary, type Db, Decimal128, Int32, Long, MongoClient, ObjectId } from 'mongodb';
import type { GraphqlClient } from './graphql-client.ts';

export interface UserErrorAnswer {
  readonly code: string;
  readonly message: string;
  readonly field: readonly string[] | null;
  readonly hint: string | null;
}

export interface BackupAnswer {
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly trigger: string;
  readonly state: string;
  readonly usable: boolean;
  readonly size: string | null;
  readonly documents: string | null;
  readonly fileName: string | null;
  readonly keyId: string | null;
  readonly codec: string;
  readonly encrypted: boolean;
  readonly consistency: string | null;
  readonly pinned: boolean;
  readonly expiresAt: string | null;
  readonly contents: readonly { readonly name: string; readonly kind: string; readonly documents: string; readonly indexes: number }[];
  readonly keptBecause: readonly string[];
  readonly verification: { readonly ok: boolean; readonly code: string | null } | null;
  readonly failure: { readonly code: string; readonly message: string; readonly hints: readonly string[] } | null;
  readonly actions: readonly { readonly permission: string; readonly allowed: boolean; readonly reason: string | null }[];
}

export const backupFields = `id name label trigger state usable size documents fileName keyId codec encrypted consistency pinned expiresAt
  contents { name kind documents indexes } keptBecause verification { ok code } failure { code message hints } actions { permission allowed reason }`;

export interface OperationAnswer {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly phase: string;
  readonly revision: number;
  readonly steps: readonly { readonly phase: string; readonly state: string }[];
  readonly progress: { readonly percent: number | null };
  readonly failure: { readonly code: string; readonly message: string; readonly hints: readonly string[] } | null;
  readonly backup: BackupAnswer | null;
  readonly safetyBackup: BackupAnswer | null;
  readonly undoableUntil: string | null;
  readonly undoWarning: string | null;
  readonly result: {
    readonly __typename: string;
    readonly dryRun?: boolean;
    readonly database?: string | null;
    readonly bytesRead?: string;
    readonly collections?: readonly { readonly name: string; readonly inserted: string; readonly dropped: string }[];
    readonly warnings?: readonly string[];
    readonly ok?: boolean;
    readonly code?: string | null;
  } | null;
}

export const operationFields = `id kind state phase revision steps { phase state } progress { percent } failure { code message hints }
  backup { ${backupFields} } safetyBackup { ${backupFields} } undoableUntil undoWarning
  result { __typename ... on RestoreResult { dryRun bytesRead database collections { name inserted dropped } warnings } ... on VerifyResult { ok code } }`;

export interface PlanAnswer {
  readonly id: string;
  readonly confirmName: string;
  readonly expiresAt: string;
  readonly dataLossSince: string | null;
  readonly checks: readonly { readonly key: string; readonly ok: boolean; readonly blocking: boolean; readonly message: string }[];
  readonly changes: readonly { readonly name: string; readonly change: string; readonly indexesChanged: readonly string[]; readonly optionsChanged: readonly string[] }[];
}

const errorFields = 'userErrors { code message field hint }';

export interface Started {
  readonly operation: { readonly id: string } | null;
  readonly backup?: BackupAnswer | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

export async function backupCreate(client: GraphqlClient, tenantId: string, input: Readonly<Record<string, unknown>> = {}): Promise<Started & { readonly backup: BackupAnswer | null }> {
  const answer = await client.run<{ backupCreate: Started & { backup: BackupAnswer | null } }>(
    `mutation ($input: BackupCreateInput!) { backupCreate(input: $input) { backup { ${backupFields} } operation { id } ${errorFields} } }`,
    { input: { tenantId, ...input } },
  );
  return answer.backupCreate;
}

export async function planCreate(client: GraphqlClient, tenantId: string, backupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<{ readonly plan: PlanAnswer | null; readonly userErrors: readonly UserErrorAnswer[] }> {
  const answer = await client.run<{ restorePlanCreate: { plan: PlanAnswer | null; userErrors: UserErrorAnswer[] } }>(
    `mutation ($input: RestorePlanCreateInput!) { restorePlanCreate(input: $input) {
      plan { id confirmName expiresAt dataLossSince checks { key ok blocking message } changes { name change indexesChanged optionsChanged } } ${errorFields} } }`,
    { input: { tenantId, source: { backupId }, ...input } },
  );
  return answer.restorePlanCreate;
}

export async function restoreStart(client: GraphqlClient, planId: string, confirmName: string, input: Readonly<Record<string, unknown>> = {}): Promise<Started> {
  const answer = await client.run<{ restoreStart: Started }>(
    `mutation ($input: RestoreStartInput!) { restoreStart(input: $input) { operation { id } ${errorFields} } }`,
    { input: { planId, confirmName, ...input } },
  );
  return answer.restoreStart;
}

export async function restoreUndo(client: GraphqlClient, operationId: string, confirmName: string, input: Readonly<Record<string, unknown>> = {}): Promise<Started> {
  const answer = await client.run<{ restoreUndo: Started }>(
    `mutation ($input: RestoreUndoInput!) { restoreUndo(input: $input) { operation { id } ${errorFields} } }`,
    { input: { operationId, confirmName, ...input } },
  );
  return answer.restoreUndo;
}

export interface ComparedAnswer {
  readonly name: string;
  readonly change: string;
  readonly sumsEqual: boolean | null;
  readonly indexesChanged: readonly string[];
  readonly optionsChanged: readonly string[];
  readonly first: { readonly documents: string } | null;
  readonly other: { readonly documents: string } | null;
}

export interface CompareAnswer {
  readonly bytesRead: string;
  readonly notCompared: readonly string[];
  readonly backup: { readonly id: string };
  readonly otherBackup: { readonly id: string };
  readonly collections: readonly ComparedAnswer[];
  readonly documents: {
    readonly collection: string; readonly added: string; readonly removed: string; readonly changed: string; readonly same: string;
    readonly addedIds: readonly string[] | null; readonly removedIds: readonly string[] | null; readonly changedIds: readonly string[] | null;
  } | null;
}

export async function compareStart(client: GraphqlClient, backupId: string, otherBackupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<Started> {
  const answer = await client.run<{ backupCompare: Started }>(
    `mutation ($input: BackupCompareInput!) { backupCompare(input: $input) { operation { id } ${errorFields} } }`,
    { input: { backupId, otherBackupId, ...input } },
  );
  return answer.backupCompare;
}

export async function compareResult(client: GraphqlClient, operationId: string): Promise<CompareAnswer> {
  const { operation } = await client.run<{ operation: { result: CompareAnswer } }>(
    `query ($id: ID!) { operation(id: $id) { result { ... on CompareResult { bytesRead notCompared backup { id } otherBackup { id }
      collections { name change sumsEqual indexesChanged optionsChanged first { documents } other { documents } }
      documents { collection added removed changed same addedIds removedIds changedIds } } } } }`,
    { id: operationId },
  );
  return operation.result;
}

/** The result of a comparison that completed. */
export async function compare(client: GraphqlClient, backupId: string, otherBackupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<CompareAnswer> {
  const operation = await ended(client, idOf(await compareStart(client, backupId, otherBackupId, input)));
  if (operation.state !== 'COMPLETED') throw new Error(`The comparison is ${operation.state}: ${JSON.stringify(operation.failure)}`);
  return compareResult(client, operation.id);
}

export function idOf(started: Started): string {
  if (started.operation === null) throw new Error(`Nothing was started: ${started.userErrors.map(({ code, message }) => `${code} ${message}`).join()}`);
  return started.operation.id;
}

/** Every state that a subscriber saw; the last one is final. @param saw told how many they are, at each */
export async function watch(client: GraphqlClient, operationId: string, saw: (states: number) => void = () => undefined): Promise<OperationAnswer[]> {
  const seen: OperationAnswer[] = [];
  await using subscription = client.subscribe<{ operationUpdated: OperationAnswer }>(`subscription ($id: ID!) { operationUpdated(id: $id) { ${operationFields} } }`, { id: operationId });
  for await (const { data, errors } of subscription) {
    if (!data) throw new Error(JSON.stringify(errors));
    saw(seen.push(data.operationUpdated));
  }
  return seen;
}

/** The final state. */
export async function ended(client: GraphqlClient, operationId: string): Promise<OperationAnswer> {
  const last = (await watch(client, operationId)).at(-1);
  if (last === undefined) throw new Error('The subscription sent nothing');
  return last;
}

/** A finished backup; throws what it failed of. */
export async function takeBackup(client: GraphqlClient, tenantId: string, input: Readonly<Record<string, unknown>> = {}): Promise<BackupAnswer> {
  const operation = await ended(client, idOf(await backupCreate(client, tenantId, input)));
  if (operation.state !== 'COMPLETED' || operation.backup === null) throw new Error(`The backup is ${operation.state}: ${JSON.stringify(operation.failure)}`);
  return operation.backup;
}

export async function makePlan(client: GraphqlClient, tenantId: string, backupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<PlanAnswer> {
  const { plan, userErrors } = await planCreate(client, tenantId, backupId, input);
  if (plan === null) throw new Error(JSON.stringify(userErrors));
  return plan;
}

/** Plans and restores; the final state of the operation. */
export async function restore(client: GraphqlClient, tenantId: string, backupId: string, input: Readonly<Record<string, unknown>> = {}): Promise<OperationAnswer> {
  const plan = await makePlan(client, tenantId, backupId);
  return ended(client, idOf(await restoreStart(client, plan.id, plan.confirmName, input)));
}

export async function readBackup(client: GraphqlClient, id: string): Promise<BackupAnswer> {
  const { backup } = await client.run<{ backup: BackupAnswer }>(`query ($id: ID!) { backup(id: $id) { ${backupFields} } }`, { id });
  return backup;
}

export async function withDatabase<T>(target: { readonly uri: string; readonly database: string }, work: (db: Db) => Promise<T>): Promise<T> {
  const client = await MongoClient.connect(target.uri);
  try {
    return await work(client.db(target.database));
  } finally {
    await client.close();
  }
}

/** A small shop with indexes, a validator, a capped log, a view, a time series and values of many types. */
export async function seedShop(db: Db, orders = 500): Promise<void> {
  await db.createCollection('customers', { validator: { name: { $type: 'string' } } });
  await db.collection('customers').insertMany(Array.from({ length: 40 }, (_, n) => ({ _id: new ObjectId(), name: `Customer ${n}`, balance: Decimal128.fromString(`${n}.50`), photo: new Binary(Buffer.alloc(64, n)) })));
  await db.collection('customers').createIndex({ name: 1 }, { unique: true });
  await db.collection('orders').insertMany(Array.from({ length: orders }, (_, n) => ({ number: new Int32(n), total: Long.fromNumber(n * 100), customer: n % 40, text: 'x'.repeat(200), at: new Date(1_700_000_000_000 + n) })));
  await db.collection('orders').createIndex({ customer: 1, number: -1 });
  await db.collection('orders').createIndex({ text: 'text' });
  await db.createCollection('log', { capped: true, size: 65_536, max: 100 });
  await db.collection('log').insertMany(Array.from({ length: 20 }, (_, n) => ({ n })));
  await db.createCollection('big_orders', { viewOn: 'orders', pipeline: [{ $match: { total: { $gt: 1000 } } }] });
  await db.createCollection('readings', { timeseries: { timeField: 'at', metaField: 'sensor' } });
  await db.collection('readings').insertMany(Array.from({ length: 50 }, (_, n) => ({ at: new Date(1_700_000_000_000 + n * 1000), sensor: n % 3, value: n / 7 })));
}
