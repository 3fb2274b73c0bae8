import { Int32, MongoServerError } from 'mongodb';
import { bytesOf, newDocument, valuesOf } from './documents.ts';
import { copyDatabase, type Database, keyOf, type Namespace } from './model.ts';
import { increased, type Product } from './product.ts';
import type { Random } from './random.ts';

const mostWrites = 400;

/**
 * The product at work while an operation runs: one write after the other, each of one document or of two in one transaction, so that a moment of
 * the database is the model after some number of them.
 */
export class Writer {
  /** The model at the start and after each write that the server acknowledged. */
  readonly states: Database[];
  private readonly working: Promise<void>;
  private stopped = false;

  constructor(
    private readonly product: Product,
    private readonly random: Random,
  ) {
    this.states = [copyDatabase(product.model)];
    this.working = this.work();
    // Heard of by whoever stops it.
    this.working.catch(() => undefined);
  }

  get acknowledged(): number {
    return this.states.length - 1;
  }

  /** Idempotent; nothing is under way afterwards. */
  stop(): Promise<void> {
    this.stopped = true;
    return this.working;
  }

  private async work(): Promise<void> {
    while (!this.stopped && this.acknowledged < mostWrites) {
      const [one, two] = this.random.some(this.product.plain(), 2);
      if (one === undefined) return;
      try {
        await (two !== undefined && this.random.chance(0.4) ? this.transfer(one, two) : this.writeOne(one));
      } catch (error) {
        if (!(error instanceof MongoServerError && error.code === 11_000)) throw error;
      }
      this.states.push(copyDatabase(this.product.model));
    }
  }

  private async writeOne([name, { documents }]: [string, Namespace]): Promise<void> {
    const { db } = this.product;
    const found = this.random.find([...documents]);
    const act = found === undefined ? 'insert' : this.random.weighted({ insert: documents.size > 150 ? 0 : 2, replace: 2, delete: 1 });
    const document = newDocument(this.random, this.product.newSerial(), ...(found !== undefined && act === 'replace' ? [valuesOf(found[1])['_id']] : []));
    const bytes = bytesOf(document);
    if (act === 'insert') await db.collection(name).insertOne(document, { bypassDocumentValidation: true });
    else if (act === 'replace') await db.collection(name).replaceOne({ _id: document['_id'] }, document, { bypassDocumentValidation: true });
    else if (found !== undefined) await db.collection(name).deleteOne({ _id: valuesOf(found[1])['_id'] });
    if (act === 'delete') documents.delete(found?.[0] ?? '');
    else documents.set(keyOf(bytes), bytes);
  }

  /** From one account to the other: a backup that holds one side alone is no backup. */
  private async transfer([from, payers]: [string, Namespace], [to, payees]: [string, Namespace]): Promise<void> {
    const [payer, payee] = [this.random.find([...payers.documents]), this.random.find([...payees.documents])];
    if (payer === undefined || payee === undefined) return;
    const { db } = this.product;
    const amount = this.random.int(1, 100);
    await db.client.withSession((session) =>
      session.withTransaction(async () => {
        await db.collection(from).updateOne({ _id: valuesOf(payer[1])['_id'] }, { $inc: { n: new Int32(-amount) } }, { session, bypassDocumentValidation: true });
        await db.collection(to).updateOne({ _id: valuesOf(payee[1])['_id'] }, { $inc: { n: new Int32(amount) } }, { session, bypassDocumentValidation: true });
      }),
    );
    payers.documents.set(payer[0], increased(payer[1], -amount));
    payees.documents.set(payee[0], increased(payee[1], amount));
  }
}
