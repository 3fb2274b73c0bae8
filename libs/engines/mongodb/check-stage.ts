import { DocumentSums, parseMongodump } from '#archive';
import { AppError } from '#errors';
import type { NamespaceSummary, PayloadSource, StagedDatabase, StagedNamespace, Work } from '../port.js';
import { collectionSpec, isIdIndex } from './collection-spec.js';
import type { MongodbContext } from './connection.js';
import { throwTargetError } from './errors.js';
import { findIndexes, findNamespaces, type FoundNamespace } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { LeasedCommands } from './leased-commands.js';
import { ownPattern } from './names.js';
import { isDocument, nameOf, numberOf, parseOrdered, sameValue, type OrderedDocument, type OrderedValue } from './ordered-bson.js';
import { readSums } from './read-sums.js';
import { collationOf } from './swap-plan.js';

/** Of many small collections most of the time is the way to the server and back; of few big ones memory is what counts. */
const checksAtOnce = { small: 8, big: 2 };
const smallBytes = 256 * 1024;
// Options that SWAP sets, or that are the server's own; and those whose stored form depends on the version of the server.
const optionsLeftOut = new Set(['expireAfterSeconds', 'autoIndexId', 'recordIdsReplicated', 'temp', 'collation', 'size']);
const defaults = new Map([['validationLevel', 'strict'], ['validationAction', 'error']]);
const indexFieldsLeftOut = new Set(['v', 'ns', 'background', 'expireAfterSeconds', 'collation', 'safe', 'dropDups']);

/**
 * Compares what is staged with what the archive holds: documents, bytes, sums, options, indexes. Of a capped collection that is full the newest documents will do. Throws
 * STAGE_MISMATCH naming the collection.
 */
export async function checkStaged(context: MongodbContext, staged: StagedDatabase, source: PayloadSource, work: Work): Promise<void> {
  const commands = new LeasedCommands(context, work);
  const present = await ownNamespaces(commands, work.signal);
  const summaries = new Map(source.namespaces.map((summary) => [summary.name, summary]));
  const bytesTotal = source.namespaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const itemsTotal = source.namespaces.reduce((sum, { documents }) => sum + documents, 0);
  let bytesDone = 0;
  let itemsDone = 0;
  const isSmall = ({ name }: StagedNamespace): boolean => (summaries.get(name)?.bytes ?? 0) <= smallBytes;
  const [small, big] = [staged.namespaces.filter(isSmall), staged.namespaces.filter((one) => !isSmall(one))];
  const check = async (namespace: StagedNamespace): Promise<void> => {
    work.signal.throwIfAborted();
    const archived = summaries.get(namespace.name);
    summaries.delete(namespace.name);
    if (archived === undefined) throw mismatch(namespace.name, 'the archive does not name it');
    if (namespace.kind === 'view') return;
    const summary = withoutRepeated(archived, namespace);
    const report = (documents: number, bytes: number): void => {
      bytesDone += bytes;
      itemsDone += documents;
      work.report({ bytesDone, bytesTotal, itemsDone, itemsTotal, current: namespace.name });
    };
    const doing = `checking collection "${namespace.name}"`;
    try {
      // A new primary answers after a stepdown; reading twice harms nothing.
      await commands.repeat(doing, () => checkCollection(context, namespace, present, source, summary, work.signal, report));
    } catch (error) {
      throwTargetError(error, doing, work.signal);
    }
  };
  await inParallel(small, checksAtOnce.small, check);
  await inParallel(big, checksAtOnce.big, check);
  for (const name of summaries.keys()) throw mismatch(name, 'it was not staged');
}

async function checkCollection(
  context: MongodbContext,
  namespace: StagedNamespace,
  present: ReadonlyMap<string, FoundNamespace>,
  source: PayloadSource,
  summary: NamespaceSummary,
  signal: AbortSignal,
  report: (documents: number, bytes: number) => void,
): Promise<void> {
  const { name, kind, staged, uuid } = namespace;
  if (staged === null || uuid === null) throw mismatch(name, 'it has no staged copy');
  const found = present.get(staged);
  if (found?.uuid !== uuid) throw mismatch(name, 'its staged copy has disappeared');
  const sums = await readSums(context, { name: found.name, uuid }, signal, report);
  const isCapped = found.options.get('capped') === true;
  const wanted = isCapped && sums.documents < summary.documents ? await newestOf(source, name, summary.documents - sums.documents, found.options, signal) : summary;
  if (sums.documents !== wanted?.documents) throw mismatch(name, `${sums.documents} of ${summary.documents} documents are staged`);
  if (sums.bytes !== wanted.bytes || sums.sum !== wanted.sum) throw mismatch(name, 'the staged documents differ from the archived ones');
  if (kind === 'timeseries') return;
  if (isCapped && sums.crc64 !== wanted.crc64) throw mismatch(name, 'the order of the staged documents differs');
  requireOptions(name, parseOrdered(namespace.options), found.options);
  requireIndexes(namespace, await findIndexes(context, found.name, signal));
}

/**
 * Of a capped collection an archive may hold more than has room in it: what was written while it was read took the place of what had been read already. The archived documents without the
 * `leftOut` oldest; null if more of them would have room.
 */
async function newestOf(source: PayloadSource, name: string, leftOut: number, options: OrderedDocument, signal: AbortSignal): Promise<DocumentSums | null> {
  const newest = new DocumentSums();
  let passed = 0;
  let lastBytes = 0;
  for await (const event of parseMongodump(source.payload(), { sums: false })) {
    signal.throwIfAborted();
    if (event.type !== 'documents' || event.namespace.meta.collection !== name) continue;
    let at = 0;
    for (; passed < leftOut && at < event.documents.length; passed += 1) {
      lastBytes = event.documents.readInt32LE(at);
      at += lastBytes;
    }
    newest.addAll(event.documents.subarray(at));
  }
  const [size, max] = ['size', 'max'].map((option) => numberOf(options.get(option)) ?? Infinity);
  return newest.bytes + lastBytes > (size ?? Infinity) || newest.documents === max ? newest : null;
}

function withoutRepeated(archived: NamespaceSummary, { repeated }: StagedNamespace): NamespaceSummary {
  if (repeated === undefined) return archived;
  const sum = BigInt.asUintN(64, BigInt(`0x${archived.sum}`) - BigInt(`0x${repeated.sum}`));
  return { ...archived, documents: archived.documents - repeated.documents, bytes: archived.bytes - repeated.bytes, sum: sum.toString(16).padStart(16, '0') };
}

/** All in one list: asked for one by one they would cost a command each. Documents are read by UUID, so one that has gone since is noticed. */
async function ownNamespaces(commands: LeasedCommands, signal: AbortSignal): Promise<ReadonlyMap<string, FoundNamespace>> {
  const doing = 'listing what is staged';
  try {
    const own = await commands.repeat(doing, () => findNamespaces(commands.context, { name: { $regex: ownPattern } }, signal));
    return new Map(own.map((namespace) => [namespace.name, namespace]));
  } catch (error) {
    throwTargetError(error, doing, signal);
  }
}

function requireOptions(name: string, archived: OrderedDocument, present: OrderedDocument): void {
  for (const option of new Set([...archived.keys(), ...present.keys()])) {
    const [left, right] = [archived, present].map((options) => (options.get(option) === defaults.get(option) ? undefined : options.get(option)));
    if (!optionsLeftOut.has(option) && !sameOption(left, right)) throw mismatch(name, `its option "${option}" differs`);
  }
  if (!sameValue(collationOf(archived), collationOf(present))) throw mismatch(name, 'its collation differs');
}

function requireIndexes({ name, kind, options, indexes }: StagedNamespace, present: readonly OrderedDocument[]): void {
  const byName = new Map(present.map((index) => [index.get('name'), index]));
  const wanted = collectionSpec(name, kind, options, indexes).indexes;
  const others = present.filter((index) => !isIdIndex(index) && index.get('clustered') !== true).length;
  if (others !== wanted.length) throw mismatch(name, `${others} of ${wanted.length} indexes are staged`);
  for (const index of wanted) {
    const label = nameOf(index);
    const built = byName.get(index.get('name'));
    if (built === undefined) throw mismatch(name, `its index "${label}" is missing`);
    for (const [field, value] of built) {
      if (indexFieldsLeftOut.has(field)) continue;
      if (!sameOption(index.get(field), value)) throw mismatch(name, `"${field}" of its index "${label}" differs`);
    }
    if (!sameValue(collationOf(index), collationOf(built))) throw mismatch(name, `the collation of its index "${label}" differs`);
  }
}

/** An option that is absent is the same as one that is off. */
function sameOption(left: OrderedValue, right: OrderedValue): boolean {
  const off = (value: OrderedValue): boolean => value === undefined || value === null || value === false || (isDocument(value) && value.size === 0);
  const on = (value: OrderedValue): boolean => value === true || (numberOf(value) ?? 0) !== 0;
  return (off(left) && off(right)) || sameValue(left, right) || (on(left) && right === true);
}

function mismatch(name: string, reason: string): AppError {
  return new AppError('STAGE_MISMATCH', `Collection "${name}": ${reason}`);
}
