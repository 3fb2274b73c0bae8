import { bsonType, elementsOf, findElement } from './raw-bson.js';

/** Servers that can be told to keep zero timestamps (`bypassEmptyTsReplacement`). */
export function keepsZeroTimestamps([major, minor, patch]: readonly [number, number, number]): boolean {
  if (major >= 8) return true;
  if (major === 7) return minor > 0 || patch >= 13;
  return major === 6 && minor === 0 && patch >= 17;
}

const timestampBytes = 8;

/**
 * The documents of `run` (whole documents, one after the other) that hold Timestamp(0, 0) at the top level outside `_id`: the server
 * writes its own clock over it on insert.
 */
export function documentsWithZeroTimestamp(run: Buffer): Buffer[] {
  // Far quicker than looking at each element, and enough for most data.
  if (!mayHoldZeroTimestamp(run)) return [];
  const found: Buffer[] = [];
  for (let at = 0; at < run.length; ) {
    const size = run.readInt32LE(at);
    const document = run.subarray(at, at + size);
    if (mayHoldZeroTimestamp(document) && hasZeroTimestamp(document)) found.push(document);
    at += size;
  }
  return found;
}

/** Whether the type's byte, a name and eight zeros follow one another anywhere. */
function mayHoldZeroTimestamp(bytes: Buffer): boolean {
  let nameEnd = -1;
  for (let at = bytes.indexOf(bsonType.timestamp); at !== -1; at = bytes.indexOf(bsonType.timestamp, at + 1)) {
    // Never looked for twice in the same bytes: a long text may hold the type's byte many times.
    if (nameEnd <= at) nameEnd = bytes.indexOf(0, at + 1);
    if (nameEnd === -1) return false;
    let zeros = 0;
    while (zeros < timestampBytes && bytes[nameEnd + 1 + zeros] === 0) zeros += 1;
    if (zeros === timestampBytes) return true;
  }
  return false;
}

function hasZeroTimestamp(document: Buffer): boolean {
  for (const { type, name, value } of elementsOf(document)) {
    if (type === bsonType.timestamp && name !== '_id' && value.every((byte) => byte === 0)) return true;
  }
  return false;
}

/** `{q: {_id: {$eq: <id>}}, u: [{$replaceWith: {$literal: <document>}}]}` in BSON: an update that writes the document as it is. */
export function rewriteStatement(document: Buffer): Buffer {
  const id = findElement(document, '_id');
  if (id === undefined) throw new RangeError('The document has no _id');
  const literal = bson([element(bsonType.document, '$literal', document)]);
  const stage = bson([element(bsonType.document, '$replaceWith', literal)]);
  return bson([
    element(bsonType.document, 'q', bson([element(bsonType.document, '_id', bson([element(id.type, '$eq', id.value)]))])),
    element(bsonType.array, 'u', bson([element(bsonType.document, '0', stage)])),
  ]);
}

function element(type: number, name: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), Buffer.from(`${name}\0`), value]);
}

function bson(elements: readonly Buffer[]): Buffer {
  const body = Buffer.concat(elements);
  const document = Buffer.alloc(body.length + 5);
  document.writeInt32LE(document.length, 0);
  body.copy(document, 4);
  return document;
}
