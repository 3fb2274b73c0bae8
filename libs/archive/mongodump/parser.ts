import { AppError } from '#errors';
import { DocumentSums } from '../crc64.js';
import { BsonMalformed, maxDocumentBytes } from './bson-elements.js';
import { corrupt, readDefinition, readHeader, readNamespaceHeader } from './format-documents.js';
import { mongodumpMagic, type CollectionMeta, type MongodumpHeader } from './format.js';

/** A namespace of the body. One object stands for it in all events. */
export interface ArchiveNamespace {
  readonly db: string;
  /** As the body names it: the documents of a time series X stand under `system.buckets.X` before server version 8.3.0. */
  readonly collection: string;
  /** Its definition in the prelude, under the logical name. */
  readonly meta: CollectionMeta;
  /** Place of `meta` in the prelude. */
  readonly index: number;
}

export interface PreludeEvent {
  readonly type: 'prelude';
  readonly header: MongodumpHeader;
  readonly collections: readonly CollectionMeta[];
}

export interface DocumentsEvent {
  readonly type: 'documents';
  readonly namespace: ArchiveNamespace;
  /** Whole BSON documents one after the other, not decoded, at most about 4 MiB (more when one document is larger). A view of the input's memory. */
  readonly documents: Buffer;
  readonly count: number;
}

export interface NamespaceEndEvent {
  readonly type: 'end';
  readonly namespace: ArchiveNamespace;
  /** CRC-64 of the documents in order, 16 hex digits: what was read, and what the archive says. Empty without sums. */
  readonly crc: string;
  /** Order-free sum of the documents' CRC-64, 16 hex digits. Empty without sums. */
  readonly sum: string;
  readonly documents: number;
  readonly bytes: number;
}

export interface ParseOptions {
  /** False: CRCs are neither counted nor compared, for bytes that were checked before. Every other rule holds. */
  readonly sums?: boolean;
}

export type MongodumpEvent = PreludeEvent | DocumentsEvent | NamespaceEndEvent;

const batchBytes = 4 * 1024 * 1024;
const maxPreludeBytes = 256 * 1024 * 1024;
const bucketsPrefix = 'system.buckets.';

type State = 'magic' | 'header' | 'definitions' | 'boundary' | 'documents' | 'closing';

interface OpenNamespace extends ArchiveNamespace {
  readonly sums: DocumentSums;
  isClosed: boolean;
}

const truncated = (place: string): AppError => new AppError('ARCHIVE_TRUNCATED', `The archive ends ${place}`);
const label = (namespace: { readonly db: string; readonly collection: string }): string => JSON.stringify(namespace.db === '' ? namespace.collection : `${namespace.db}.${namespace.collection}`);
const keyOf = (db: string, collection: string): string => `${db}\0${collection}`;

/**
 * Strict, incremental parser of the mongodump archive format 0.1. Documents are measured and summed, never decoded. Every length is checked
 * before it is believed, and memory grows only with bytes that have arrived. Throws ARCHIVE_CORRUPT naming the broken
 * rule, ARCHIVE_TRUNCATED where the input ends too early; the parser is of no use afterwards.
 */
export class MongodumpParser {
  private state: State = 'magic';
  private header: MongodumpHeader | null = null;
  private preludeBytes = 0;
  private readonly collections: CollectionMeta[] = [];
  private readonly definitions = new Map<string, number>();
  private readonly namespaces = new Map<string, OpenNamespace>();
  private readonly seen = new Set<number>();
  private current: OpenNamespace | null = null;

  /** Start of a piece whose rest has not arrived: capacity grows by doubling, so a claimed length costs nothing. */
  private carry: Buffer = Buffer.alloc(0);
  private carried = 0;
  private needed = 0;
  private readonly withSums: boolean;

  constructor({ sums = true }: ParseOptions = {}) {
    this.withSums = sums;
  }

  /** True where a frame may end: between two blocks. */
  get isAtBoundary(): boolean {
    return this.state === 'boundary' && this.carried === 0;
  }

  /** Takes the next bytes. `chunk` must not change while its `documents` are in use. */
  *push(chunk: Buffer): Generator<MongodumpEvent, void, undefined> {
    let position = 0;
    while (position < chunk.length) {
      if (this.carried > 0) {
        position = this.fillCarry(chunk, position);
        if (this.carried < this.needed) return;
        const lengthKnown = this.needed > 4 || this.state === 'magic';
        if (!lengthKnown) {
          const length = this.pieceLength(this.carry, 0);
          if (length > 4) {
            this.needed = length;
            continue;
          }
        }
        const piece = this.carry.subarray(0, this.needed);
        this.carry = Buffer.alloc(0);
        this.carried = 0;
        if (this.state === 'documents' && piece.length > 4) yield this.documentsOf(piece, 0, this.documentEnd(piece, 0, piece.length), 1);
        else yield* this.piece(piece);
        continue;
      }

      if (this.state === 'documents') {
        const start = position;
        let count = 0;
        let length = 0;
        while (chunk.length - position >= 4 && position - start < batchBytes) {
          length = this.pieceLength(chunk, position);
          if (length === 4 || length > chunk.length - position) break;
          position = this.documentEnd(chunk, position, length);
          count += 1;
        }
        if (count > 0) {
          yield this.documentsOf(chunk, start, position, count);
          continue;
        }
      }

      const available = chunk.length - position;
      const needed = this.state === 'magic' || available < 4 ? 4 : this.pieceLength(chunk, position);
      if (available < needed) {
        this.needed = needed;
        position = this.fillCarry(chunk, position);
        return;
      }
      const piece = chunk.subarray(position, position + needed);
      position += needed;
      yield* this.piece(piece);
    }
  }

  /** Call once after the last byte. */
  end(): void {
    if (this.carried > 0 || this.state === 'documents' || this.state === 'closing') {
      throw truncated(this.current === null ? 'inside its prelude' : `inside collection ${label(this.current)}`);
    }
    if (this.state !== 'boundary') throw truncated(this.state === 'magic' ? 'before it began' : 'inside its prelude');
    for (const namespace of this.namespaces.values()) {
      if (!namespace.isClosed) throw truncated(`before collection ${label(namespace)} is complete`);
    }
    this.collections.forEach((collection, index) => {
      if (!this.seen.has(index)) throw corrupt(`collection ${label(collection)} is defined, but has no data section`);
    });
  }

  private fillCarry(chunk: Buffer, position: number): number {
    const take = Math.min(this.needed - this.carried, chunk.length - position);
    const length = this.carried + take;
    if (length > this.carry.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(length, this.carry.length * 2, 64), Math.max(this.needed, 4)));
      this.carry.copy(larger, 0, 0, this.carried);
      this.carry = larger;
    }
    chunk.copy(this.carry, this.carried, position, position + take);
    this.carried = length;
    return position + take;
  }

  /** 4 for a terminator, else the length of the document that begins here. */
  private pieceLength(bytes: Buffer, position: number): number {
    const length = bytes.readInt32LE(position);
    if (length === -1) return 4;
    if (length < 5) throw corrupt(`a document claims ${length} bytes`);
    if (length > maxDocumentBytes) throw corrupt(`a document claims ${length} bytes, more than 16 MiB`);
    return length;
  }

  private documentEnd(bytes: Buffer, start: number, length: number): number {
    const end = start + length;
    if (bytes[end - 1] !== 0) throw corrupt('a document does not end with a zero byte');
    return end;
  }

  private documentsOf(bytes: Buffer, start: number, end: number, count: number): DocumentsEvent {
    const namespace = this.current!;
    if (namespace.meta.kind === 'view') throw corrupt(`view ${label(namespace)} holds documents`);
    const documents = bytes.subarray(start, end);
    if (this.withSums) namespace.sums.addAll(documents);
    else namespace.sums.count(count, documents.length);
    return { type: 'documents', namespace, documents, count };
  }

  /** A terminator (4 bytes) or a whole document that is not a namespace's data. */
  private *piece(piece: Buffer): Generator<MongodumpEvent, void, undefined> {
    if (this.state === 'magic') {
      if (!piece.equals(mongodumpMagic)) throw corrupt('it does not begin with the magic number');
      this.state = 'header';
      return;
    }
    if (piece.length > 4) {
      try {
        this.document(piece);
      } catch (error) {
        throw error instanceof BsonMalformed ? corrupt(error.message, error) : error;
      }
      return;
    }
    switch (this.state) {
      case 'header':
        throw corrupt('the prelude has no header');
      case 'definitions':
        this.state = 'boundary';
        yield { type: 'prelude', header: this.header!, collections: this.collections };
        return;
      case 'boundary':
        throw corrupt('a terminator stands where a block must begin');
      case 'documents':
        this.current = null;
        this.state = 'boundary';
        return;
      case 'closing': {
        const namespace = this.current!;
        const { sums } = namespace;
        this.current = null;
        this.state = 'boundary';
        const { crc, sum } = this.withSums ? { crc: sums.crc64, sum: sums.sum } : { crc: '', sum: '' };
        yield { type: 'end', namespace, crc, sum, documents: sums.documents, bytes: sums.bytes };
        return;
      }
    }
  }

  private document(piece: Buffer): void {
    switch (this.state) {
      case 'header':
        this.countPrelude(piece);
        this.header = readHeader(piece);
        this.state = 'definitions';
        return;
      case 'definitions':
        this.countPrelude(piece);
        this.define(readDefinition(piece));
        return;
      case 'boundary':
        this.open(piece);
        return;
      case 'closing':
        throw corrupt(`collection ${label(this.current!)} has a document after its end`);
      case 'magic':
      case 'documents':
        throw new Error(`A document was not expected in state ${this.state}`);
    }
  }

  private countPrelude(piece: Buffer): void {
    this.preludeBytes += piece.length;
    if (this.preludeBytes > maxPreludeBytes) throw new AppError('ARCHIVE_TOO_LARGE', "The archive's collection definitions take more than 256 MiB");
  }

  private define(meta: CollectionMeta): void {
    const key = keyOf(meta.db, meta.collection);
    if (this.definitions.has(key)) throw corrupt(`collection ${label(meta)} is defined twice`);
    this.definitions.set(key, this.collections.length);
    this.collections.push(meta);
  }

  private open(piece: Buffer): void {
    const { db, collection, isEnd, crc } = readNamespaceHeader(piece);
    const key = keyOf(db, collection);
    let namespace = this.namespaces.get(key);
    if (namespace === undefined) {
      const index = this.definitionOf(db, collection);
      if (this.seen.has(index)) throw corrupt(`collection ${label(this.collections[index]!)} has two data sections`);
      this.seen.add(index);
      namespace = { db, collection, meta: this.collections[index]!, index, sums: new DocumentSums(), isClosed: false };
      this.namespaces.set(key, namespace);
    }
    if (namespace.isClosed) throw corrupt(`collection ${label(namespace)} goes on after its end`);
    this.current = namespace;
    if (!isEnd) {
      if (crc !== '0000000000000000') throw corrupt(`a block of collection ${label(namespace)} carries a CRC before its end`);
      this.state = 'documents';
      return;
    }
    if (this.withSums && crc !== namespace.sums.crc64) throw corrupt(`the CRC of collection ${label(namespace)} is ${namespace.sums.crc64}, but the archive says ${crc}`);
    namespace.isClosed = true;
    this.state = 'closing';
  }

  private definitionOf(db: string, collection: string): number {
    const own = this.definitions.get(keyOf(db, collection));
    if (own !== undefined) return own;
    if (collection.startsWith(bucketsPrefix)) {
      const logical = this.definitions.get(keyOf(db, collection.slice(bucketsPrefix.length)));
      if (logical !== undefined && this.collections[logical]!.kind === 'timeseries') return logical;
    }
    throw corrupt(`collection ${label({ db, collection })} has data, but no definition`);
  }
}

/** Parses a whole archive; see MongodumpParser. */
export async function* parseMongodump(payload: AsyncIterable<Buffer>, options: ParseOptions = {}): AsyncGenerator<MongodumpEvent, void, undefined> {
  const parser = new MongodumpParser(options);
  for await (const chunk of payload) yield* parser.push(chunk);
  parser.end();
}
