import { MongoServerError } from 'mongodb';
import { AppError } from '#errors';
import type { CollectionSpec } from './collection-spec.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { toUuid } from './find-namespaces.js';
import type { LeasedCommands } from './leased-commands.js';
import { bucketsPrefix, withLabel } from './names.js';
import { nameOf, toCommand, type OrderedDocument } from './ordered-bson.js';

const duplicateKey = 11_000;
const optionNotSupportedOnView = 167;
// Errors of createIndexes that quote the definition, never a document.
const definitionCodes = new Set([9, 14, 67, 72, 85, 86, 197, 40_415]);

/** Creates a staged collection, time series or view; one that is there already is an earlier attempt's, whose reply was lost. */
export async function createNamespace(commands: LeasedCommands, label: string, name: string, create: OrderedDocument): Promise<void> {
  try {
    await commands.repeat(`creating "${label}"`, () => commands.creating({ create: name, ...toCommand(create) }));
  } catch (error) {
    if (serverCodeOf(error) === serverCode.namespaceExists) return;
    throw rejected(commands, label, 'its options', error, true);
  }
}

/**
 * All indexes in one command: the server reads the collection once. Without the collection's `uuid` a command that the server runs
 * late, after a cancel has dropped the collection, would make it anew. Of a time series it is the buckets': the server compares it only where the time series has gone (seen on 6.0.5).
 */
export async function buildIndexes(commands: LeasedCommands, label: string, name: string, indexes: readonly OrderedDocument[], uuid?: string): Promise<void> {
  if (indexes.length === 0) return;
  try {
    await commands.repeat(`building the indexes of "${label}"`, () => commands.building({ createIndexes: name, indexes, ignoreUnknownIndexOptions: true, ...(uuid === undefined ? {} : { collectionUUID: toUuid(uuid) }) }));
  } catch (error) {
    if (serverCodeOf(error) === duplicateKey) {
      throw new AppError('STAGE_REJECTED', `The documents of collection "${label}" break its unique index ${indexNamed(error)}`, { cause: error });
    }
    throw rejected(commands, label, 'an index', error, definitionCodes.has(serverCodeOf(error) ?? 0));
  }
}

/** Sets every TTL of a collection on an empty twin, so that no error is left for the end of SWAP. A time series is its own twin. */
export async function rehearseTimeToLive(commands: LeasedCommands, label: string, trial: string, { create, indexes, ttl }: CollectionSpec, isThere: boolean): Promise<void> {
  if (ttl.length === 0) return;
  if (!isThere) {
    const names = new Set(ttl.map(({ index }) => index));
    await createNamespace(commands, label, trial, create);
    await buildIndexes(commands, label, trial, indexes.filter((index) => names.has(nameOf(index))));
  }
  try {
    for (const { index, seconds } of ttl) await commands.repeat(`trying the TTL of "${label}"`, () => commands.once(timeToLiveCommand(trial, index, seconds)));
  } catch (error) {
    throw rejected(commands, label, 'its TTL', error, true);
  }
  if (!isThere) await commands.run(`dropping the trial of "${label}"`, { drop: trial });
}

export function timeToLiveCommand(name: string, index: string | null, seconds: number): Record<string, unknown> {
  return { collMod: name, ...(index === null ? { expireAfterSeconds: seconds } : { index: { name: index, expireAfterSeconds: seconds } }) };
}

/** Makes the view under a name of its own and drops it again. */
export async function rehearseView(commands: LeasedCommands, label: string, trial: string, { create }: CollectionSpec): Promise<void> {
  // Dropping a view directly over the buckets of a time series deletes the live data: the trial never points there.
  const viewOn = create.get('viewOn');
  const tried = typeof viewOn === 'string' && viewOn.startsWith(bucketsPrefix) ? new Map(create).set('viewOn', 'hf_nothing') : create;
  try {
    await commands.repeat(`trying view "${label}"`, () => commands.creating({ create: trial, ...toCommand(tried) }));
  } catch (error) {
    const code = serverCodeOf(error);
    // Its collation is at odds with a live view that SWAP replaces as well. The same code stands for stages that no view may have.
    if (code === optionNotSupportedOnView && error instanceof Error && error.message.includes('conflicting collation')) return;
    if (code !== serverCode.namespaceExists) throw rejected(commands, label, 'the definition of the view', error, true);
  }
  await commands.run(`dropping the trial of "${label}"`, { drop: trial });
}

function indexNamed(error: unknown): string {
  const found = error instanceof MongoServerError ? /index: (.{1,128}?) dup key/.exec(error.message)?.[1] : undefined;
  return found === undefined ? '' : `"${found}"`;
}

/** STAGE_REJECTED for what the server answered about a definition; the rest (connection, disk, privilege) passes as what it is. */
function rejected({ work }: LeasedCommands, label: string, what: string, error: unknown, isQuotable: boolean): AppError {
  try {
    throwTargetError(error, `staging "${label}"`, work.signal);
  } catch (mapped) {
    if (!(mapped instanceof AppError) || mapped.code !== 'INTERNAL') throw mapped;
  }
  const code = serverCodeOf(error);
  if (code === undefined || !(error instanceof MongoServerError)) throw error;
  const reason = isQuotable ? withLabel(error.message, label).slice(0, 300) : `server code ${code}`;
  return new AppError('STAGE_REJECTED', `The server refuses ${what} of "${label}": ${reason}`, { cause: error });
}
