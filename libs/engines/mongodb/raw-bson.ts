/**
 * Reads BSON bytes without decoding them: what stands in a backup must be the server's own bytes, in the server's own order.
 * All offsets are into the given buffer; whoever calls passes bytes that a server sent.
 */
export const bsonType = {
  double: 0x01, string: 0x02, document: 0x03, array: 0x04, binary: 0x05, undefined: 0x06, objectId: 0x07, bool: 0x08, date: 0x09,
  null: 0x0a, regex: 0x0b, dbPointer: 0x0c, code: 0x0d, symbol: 0x0e, codeWithScope: 0x0f, int32: 0x10, timestamp: 0x11, int64: 0x12,
  decimal128: 0x13, maxKey: 0x7f, minKey: 0xff,
} as const;

export interface RawElement {
  readonly type: number;
  readonly name: string;
  /** The element's value, a view on the document's bytes. */
  readonly value: Buffer;
}

/** The elements of one BSON document, in order. */
export function* elementsOf(document: Buffer): Generator<RawElement, void, undefined> {
  const end = document.readInt32LE(0) - 1;
  let at = 4;
  while (at < end) {
    const type = document[at] ?? 0;
    const nameEnd = document.indexOf(0, at + 1);
    const start = nameEnd + 1;
    const length = valueLength(type, document, start);
    yield { type, name: document.toString('utf8', at + 1, nameEnd), value: document.subarray(start, start + length) };
    at = start + length;
  }
}

/** The first element called `name`, or undefined. */
export function findElement(document: Buffer, name: string): RawElement | undefined {
  for (const element of elementsOf(document)) if (element.name === name) return element;
  return undefined;
}

/** The documents of a BSON array, each a view on its bytes. Other values are passed over. */
export function documentsOf(array: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (const { type, value } of elementsOf(array)) if (type === bsonType.document) found.push(value);
  return found;
}

/**
 * Where the document begins whose element stands at `at` of a BSON array; `documentEnd` of it is the place of the next element. For hot loops:
 * nothing is made per document. Throws TypeError for another value than a document.
 */
export function documentStart(array: Buffer, at: number): number {
  if (array[at] !== bsonType.document) throw new TypeError('The batch holds something other than a document');
  let start = at + 1;
  while (array[start] !== 0) start += 1;
  return start + 1;
}

/** Where the document that begins at `start` ends. Throws RangeError when that is outside the array. */
export function documentEnd(array: Buffer, start: number): number {
  const end = start + array.readInt32LE(start);
  if (end >= array.length || end <= start) throw new RangeError('A document ends outside its batch');
  return end;
}

/** How many documents a BSON array of nothing else holds. */
export function countDocuments(array: Buffer): number {
  let count = 0;
  for (let at = 4; at < array.length - 1; count += 1) at = documentEnd(array, documentStart(array, at));
  return count;
}

/** A document of the elements with these names, in their order. */
export function pickFields(document: Buffer, names: ReadonlySet<string>): Buffer {
  const pieces: Buffer[] = [Buffer.alloc(4)];
  for (const { type, name, value } of elementsOf(document)) if (names.has(name)) pieces.push(Buffer.of(type), Buffer.from(`${name}\0`), value);
  const picked = Buffer.concat([...pieces, Buffer.of(0)]);
  picked.writeInt32LE(picked.length, 0);
  return picked;
}

/** A string element's text. */
export function textOf(element: RawElement | undefined): string | undefined {
  return element?.type === bsonType.string ? element.value.toString('utf8', 4, element.value.length - 1) : undefined;
}

function valueLength(type: number, bytes: Buffer, at: number): number {
  switch (type) {
    case bsonType.double: case bsonType.date: case bsonType.timestamp: case bsonType.int64: return 8;
    case bsonType.string: case bsonType.code: case bsonType.symbol: return 4 + bytes.readInt32LE(at);
    case bsonType.document: case bsonType.array: case bsonType.codeWithScope: return bytes.readInt32LE(at);
    case bsonType.binary: return 5 + bytes.readInt32LE(at);
    case bsonType.objectId: return 12;
    case bsonType.bool: return 1;
    case bsonType.undefined: case bsonType.null: case bsonType.minKey: case bsonType.maxKey: return 0;
    case bsonType.regex: return bytes.indexOf(0, bytes.indexOf(0, at) + 1) + 1 - at;
    case bsonType.dbPointer: return 4 + bytes.readInt32LE(at) + 12;
    case bsonType.int32: return 4;
    case bsonType.decimal128: return 16;
    default: throw new RangeError(`Unknown BSON type 0x${type.toString(16)}`);
  }
}
