import type { Document } from 'mongodb';
import { AppError } from '#errors';
import type { LeasedWork, MergeConflict, MergeCounts, MergeForecast, NamespaceState, StagedDatabase, StagedNamespace } from '../port.js';
import { readCatalogue } from './catalogue.js';
import { collectionSpec } from './collection-spec.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { findNamespace, toUuid } from './find-namespaces.js';
import { LeasedCommands, TryAgain } from './leased-commands.js';
import { compare, idOf, keyOf, type Known, stagedBatches } from './merge-compare.js';
import { nothing } from './merge-fence.js';
import { sides } from './merge-plan.js';
import { clashesName, keysName } from './names.js';
import { isDocument, numberOf, type OrderedDocument, valueOf } from './ordered-bson.js';
import { pickFields } from './raw-bson.js';
import { RawWriter } from './raw-insert.js';
import { keepsZeroTimestamps, rewriteStatement } from './zero-timestamps.js';

const duplicateKey = 11_000;
const copyAttempts = 3;

/** The dry pass of MERGE. Reads both sides by `_id`, and tries what it would write on a copy of the live unique keys. */
export async function forecastMerge(context: MongodbContext, staged: StagedDatabase, conflict: MergeConflict, work: LeasedWork): Promise<MergeForecast> {
  const commands = new LeasedCommands(context, work);
  const collections: MergeCounts[] = [];
  const clashes: MergeForecast['clashes'][number][] = [];
  const doing = 'comparing the archive with the database';
  try {
    const names = new Set(staged.namespaces.map(({ name }) => name));
    const live = (await commands.repeat(doing, () => readCatalogue(context))).filter(({ name }) => names.has(name));
    let documentsDone = 0;
    for (const [index, { from, to }] of sides(context, staged, live).merged.entries()) {
      // Reading again from the start is right after any interruption: nothing of it is kept.
      const found = await commands.repeat(doing, () => forecastOne(commands, from, to, copiesOf(work, index), conflict, (documents) => {
        documentsDone += documents;
        work.report({ bytesDone: 0, bytesTotal: null, itemsDone: documentsDone, itemsTotal: null, current: to.name });
      }));
      collections.push(found.counts);
      for (const [key, documents] of found.clashes) clashes.push({ name: to.name, index: key, documents });
    }
    return { collections, clashes };
  } catch (error) {
    throwTargetError(error, doing, work.signal);
  }
}

interface Found {
  readonly counts: MergeCounts;
  readonly clashes: ReadonlyMap<string, number>;
}

async function forecastOne(commands: LeasedCommands, from: StagedNamespace, to: NamespaceState, copies: Copies, conflict: MergeConflict, report: (documents: number) => void): Promise<Found> {
  const { context, work } = commands;
  if (from.staged === null || from.uuid === null || to.uuid === null) throw new AppError('INTERNAL', `Collection "${to.name}" has no UUID`);
  const live = { name: to.name, uuid: to.uuid };
  const keys = await UniqueKeys.copy(commands, to, live, copies);
  try {
    const counts = { ...nothing };
    for await (const documents of stagedBatches(context, { name: from.staged, uuid: from.uuid }, null, work.signal)) {
      const compared = await compare(context, live, documents, conflict, work.signal);
      for (const { verdict } of compared) counts[verdict] += 1;
      if (keys !== null) {
        // In the order in which the merge writes.
        for (const verdict of ['replaced', 'inserted'] as const) {
          const refused = await keys.try(verdict, compared.filter((item) => item.verdict === verdict).map(({ document }) => document));
          counts[verdict] -= refused;
          counts.clashes += refused;
        }
      }
      report(documents.length);
    }
    return { counts: { name: to.name, ...counts }, clashes: keys?.clashes ?? new Map() };
  } finally {
    await keys?.close();
  }
}

/** Collections that the dry pass makes beside the stage. */
interface Copies {
  readonly keys: string;
  readonly clashes: string;
}

function copiesOf({ operationId, fencingToken }: LeasedWork, index: number): Copies {
  return { keys: keysName(operationId, fencingToken, index), clashes: clashesName(operationId, fencingToken, index) };
}

/** What the copy of the keys gets of a document. */
interface Tried {
  readonly document: Buffer;
  readonly piece: Buffer;
}

interface Refused {
  readonly tried: Tried;
  readonly index: string;
}

/** A copy of the fields under a collection's unique indexes, on which writes are tried. */
class UniqueKeys {
  readonly clashes = new Map<string, number>();
  private readonly writer: RawWriter;

  private constructor(
    private readonly commands: LeasedCommands,
    private readonly copyOf: Known,
    private readonly clashing: string,
    /** Null: whole documents. */
    private readonly fields: ReadonlySet<string> | null,
  ) {
    this.writer = new RawWriter(commands.context.client, commands.context.db);
  }

  /** Null for a collection without unique indexes. */
  static async copy(commands: LeasedCommands, state: NamespaceState, live: Known, { keys: name, clashes }: Copies): Promise<UniqueKeys | null> {
    await drop(commands, clashes);
    const unique = collectionSpec(state.name, state.kind, state.options, state.indexes).indexes.filter((index) => index.get('unique') === true);
    if (unique.length === 0) return null;
    const fields = fieldsOf(unique);
    const project = fields === null ? [] : [{ $project: Object.fromEntries([...fields].map((field) => [field, 1])) }];
    for (let attempt = 1; ; attempt += 1) {
      try {
        await drop(commands, name);
        await commands.unbounded({ aggregate: live.name, collectionUUID: toUuid(live.uuid), pipeline: [...project, { $out: name }], cursor: {} });
        await commands.building({ createIndexes: name, indexes: unique });
        break;
      } catch (error) {
        // Documents that were written while they were copied may seem to have the same key.
        if (serverCodeOf(error) !== duplicateKey || attempt === copyAttempts) throw error;
      }
    }
    const found = await findNamespace(commands.context, name, commands.work.signal);
    if (found?.uuid == null) throw new TryAgain();
    return new UniqueKeys(commands, { name, uuid: found.uuid }, clashes, fields);
  }

  /** How many of the documents could not be written. */
  async try(verdict: 'inserted' | 'replaced', documents: readonly Buffer[]): Promise<number> {
    const { fields } = this;
    const tried = documents.map((document) => ({ document, piece: fields === null ? document : pickFields(document, fields) }));
    let refused = await (verdict === 'replaced' ? this.rewrite(tried) : this.insert(tried));
    if (verdict === 'inserted') {
      const stale = await this.staleOf(refused);
      if (stale.length > 0) refused = [...refused.filter((one) => !stale.includes(one)), ...(await this.rewrite(stale.map(({ tried: one }) => one)))];
    }
    for (const { index } of refused) this.clashes.set(index, (this.clashes.get(index) ?? 0) + 1);
    if (refused.length > 0) await this.note(refused.map(({ tried: { document } }) => document));
    return refused.length;
  }

  /** Those whose very `_id` is in the copy though no longer in the collection: the product deleted it after the copy was made, or the insert was repeated. */
  private async staleOf(refused: readonly Refused[]): Promise<Refused[]> {
    const onId = refused.filter(({ index }) => index === '_id_');
    const { context, work } = this.commands;
    const inCopy = onId.length === 0 ? [] : await compare(context, this.copyOf, onId.map(({ tried: { document } }) => document), 'KEEP_LIVE', work.signal);
    return onId.filter((_, place) => {
      const found = inCopy[place];
      return found?.live != null && keyOf(idOf(found.live)) === keyOf(idOf(found.document));
    });
  }

  private insert(tried: readonly Tried[]): Promise<Refused[]> {
    return this.send(tried, (options) => this.writer.insert(this.copyOf.name, { pieces: tried.map(({ piece }) => piece), documents: tried.length }, options));
  }

  private rewrite(tried: readonly Tried[]): Promise<Refused[]> {
    return this.send(tried, (options) => this.writer.update(this.copyOf.name, tried.map(({ piece }) => rewriteStatement(piece)), options));
  }

  /** For the merge, which leaves them out. */
  private async note(documents: readonly Buffer[]): Promise<void> {
    const ids = documents.map((document) => ({ _id: valueOf(idOf(document)) }));
    await this.commands.run('noting clashes', { update: this.clashing, updates: ids.map((id) => ({ q: id, u: id, upsert: true })) });
  }

  close(): Promise<void> {
    return this.writer.close();
  }

  /** Batches of documents have at most some 4 MiB, and keys are smaller. */
  private async send(tried: readonly Tried[], write: (options: Parameters<RawWriter['insert']>[2]) => Promise<Document>): Promise<Refused[]> {
    if (tried.length === 0) return [];
    const { commands } = this;
    this.writer.begin();
    const reply = await commands.repeat('trying unique keys', () =>
      write({
        uuid: toUuid(this.copyOf.uuid),
        ordered: false,
        numbered: true,
        bypassDocumentValidation: true,
        bypassEmptyTsReplacement: keepsZeroTimestamps(commands.context.server.versionNumbers),
        maxTimeMS: commands.maxTimeMS(),
        signal: commands.work.signal,
      }),
    );
    const errors = Array.isArray(reply['writeErrors']) ? (reply['writeErrors'] as { readonly errmsg?: string; readonly index: number }[]) : [];
    return errors.flatMap(({ errmsg = '', index: place }) => {
      const one = tried[place];
      return one === undefined ? [] : [{ tried: one, index: /index: (.{1,128}?) dup key/.exec(errmsg)?.[1] ?? '_id_' }];
    });
  }
}

/** Top-level fields that the indexes depend on, `_id` among them; null if that cannot be told. */
function fieldsOf(indexes: readonly OrderedDocument[]): ReadonlySet<string> | null {
  const fields = new Set(['_id']);
  for (const index of indexes) {
    const key = index.get('key');
    if (key === undefined || !isDocument(key) || index.has('partialFilterExpression')) return null;
    for (const [path, order] of key) {
      const field = path.split('.')[0] ?? '';
      if (numberOf(order) === null || field === '' || field.startsWith('$')) return null;
      fields.add(field);
    }
  }
  return fields;
}

async function drop(commands: LeasedCommands, name: string): Promise<void> {
  try {
    await commands.repeat('dropping a copy of keys', () => commands.once({ drop: name }));
  } catch (error) {
    if (serverCodeOf(error) !== serverCode.namespaceNotFound) throw error;
  }
}
