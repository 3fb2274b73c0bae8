import { DocumentSums, MongodumpParser, type CollectionMeta, type MongodumpHeader } from '#archive';
import type { DumpOptions, DumpResult, EngineSession, FrameSink, Work, WorkProgress } from '#engines';

/** A dump as its archive would hold it, taken apart again by the archive's own strict parser. */
export interface MemoryDump {
  readonly result: DumpResult;
  readonly header: MongodumpHeader;
  readonly collections: readonly CollectionMeta[];
  /** Raw documents under the names of the body, in their order. */
  readonly documents: ReadonlyMap<string, readonly Buffer[]>;
  readonly frames: readonly { readonly namespaceIndex: number; readonly payload: Buffer }[];
  readonly progress: readonly WorkProgress[];
  readonly log: readonly string[];
}

export interface MemoryDumpOptions extends DumpOptions {
  readonly signal?: AbortSignal;
  /** Called with each frame before it is accepted: a place to wait or to fail. */
  readonly onFrame?: (namespaceIndex: number, payload: Buffer) => Promise<void> | void;
}

export async function dumpIntoMemory(session: EngineSession, { signal, onFrame, ...options }: MemoryDumpOptions = {}): Promise<MemoryDump> {
  const frames: { namespaceIndex: number; payload: Buffer }[] = [];
  const progress: WorkProgress[] = [];
  const log: string[] = [];
  const sink: FrameSink = {
    async writeFrame(namespaceIndex, payload) {
      frames.push({ namespaceIndex, payload: Buffer.from(payload) });
      await onFrame?.(namespaceIndex, payload);
    },
  };
  const work: Work = {
    signal: signal ?? new AbortController().signal,
    report: (at) => void progress.push(at),
    log: (line) => void log.push(line),
  };
  const result = await session.dump(sink, options, work);
  return { result, frames, progress, log, ...takeApart(frames.map(({ payload }) => payload), result) };
}

function takeApart(payloads: readonly Buffer[], result: DumpResult): Pick<MemoryDump, 'header' | 'collections' | 'documents'> {
  const parser = new MongodumpParser();
  const documents = new Map<string, Buffer[]>();
  let header: MongodumpHeader | undefined;
  let collections: readonly CollectionMeta[] = [];
  for (const payload of payloads) {
    for (const event of parser.push(payload)) {
      if (event.type === 'prelude') ({ header, collections } = event);
      else if (event.type === 'documents') {
        const found = documents.get(event.namespace.collection) ?? [];
        documents.set(event.namespace.collection, found);
        for (let at = 0; at < event.documents.length; ) {
          const end = at + event.documents.readInt32LE(at);
          found.push(event.documents.subarray(at, end));
          at = end;
        }
      } else {
        const summary = result.namespaces[event.namespace.index];
        const told = { documents: summary?.documents, bytes: summary?.bytes, crc: summary?.crc64, sum: summary?.sum };
        const read = { documents: event.documents, bytes: event.bytes, crc: event.crc, sum: event.sum };
        if (JSON.stringify(told) !== JSON.stringify(read)) throw new Error(`The summary of ${event.namespace.collection} differs: ${JSON.stringify({ told, read })}`);
      }
    }
    if (!parser.isAtBoundary) throw new Error('A frame does not hold whole blocks');
  }
  parser.end();
  if (!header) throw new Error('There is no prelude');
  return { header, collections, documents };
}

/** Order-free sum of documents, as a dump's summary has it. */
export function sumOf(documents: Iterable<Buffer>): string {
  const sums = new DocumentSums();
  for (const document of documents) sums.add(document);
  return sums.sum;
}
