import { AppError } from '#errors';
import { parseUint64 } from './crc64.js';
import type { CollectionMeta, MongodumpHeader } from './mongodump/format.js';
import { MongodumpParser, parseMongodump } from './mongodump/parser.js';
import { encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, terminator } from './mongodump/writer.js';

/** A prelude that defines these collections alone; names that it does not define are passed over. Throws ARCHIVE_CORRUPT. */
export function selectPrelude(prelude: Buffer, names: ReadonlySet<string>): Buffer {
  for (const event of new MongodumpParser().push(prelude)) {
    if (event.type === 'prelude') return encodeSelected(event.header, event.collections, names);
  }
  throw new AppError('ARCHIVE_CORRUPT', 'The archive does not begin with its definitions');
}

/**
 * The payload of an archive that holds these collections alone, made of a payload that holds more. All of the payload is read and
 * checked. Throws what parsing it throws.
 */
export async function* selectPayload(payload: AsyncIterable<Buffer>, names: ReadonlySet<string>): AsyncGenerator<Buffer, void, undefined> {
  for await (const event of parseMongodump(payload)) {
    if (event.type === 'prelude') {
      yield encodeSelected(event.header, event.collections, names);
      continue;
    }
    const { db, collection, meta } = event.namespace;
    if (!names.has(meta.collection)) continue;
    if (event.type === 'end') {
      yield encodeNamespaceEnd(db, collection, parseUint64(event.crc));
    } else {
      yield encodeNamespaceHeader(db, collection);
      yield event.documents;
      yield terminator;
    }
  }
}

function encodeSelected(header: MongodumpHeader, collections: readonly CollectionMeta[], names: ReadonlySet<string>): Buffer {
  return encodePrelude(header, collections.filter(({ collection }) => names.has(collection)));
}
