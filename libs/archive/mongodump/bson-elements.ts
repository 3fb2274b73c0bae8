/** Walks the top level of a BSON document without decoding it. */
export interface BsonElement {
  readonly type: number;
  readonly name: string;
  /** Where the value begins and ends in the walked buffer. */
  readonly start: number;
  readonly end: number;
}

export const bsonType = {
  double: 0x01,
  string: 0x02,
  document: 0x03,
  array: 0x04,
  binary: 0x05,
  undefined: 0x06,
  objectId: 0x07,
  boolean: 0x08,
  date: 0x09,
  null: 0x0a,
  regex: 0x0b,
  dbPointer: 0x0c,
  code: 0x0d,
  symbol: 0x0e,
  codeWithScope: 0x0f,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
  decimal128: 0x13,
  minKey: 0xff,
  maxKey: 0x7f,
} as const;

export const maxDocumentBytes = 16 * 1024 * 1024;

/** What is wrong with BSON; the caller says where it was found. */
export class BsonMalformed extends Error {
  override readonly name = 'BsonMalformed';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(buffer: Buffer, start: number, end: number): string {
  try {
    return utf8.decode(buffer.subarray(start, end));
  } catch (cause) {
    throw new BsonMalformed('a string is not UTF-8', { cause });
  }
}

/** The elements of the document in `buffer[offset, offset + its length)`, in order; every length is checked. */
export function* bsonElements(buffer: Buffer, offset = 0): Generator<BsonElement> {
  if (buffer.length - offset < 5) throw new BsonMalformed('a document has less than 5 bytes');
  const length = buffer.readInt32LE(offset);
  if (length < 5 || length > buffer.length - offset) throw new BsonMalformed(`a document claims ${length} bytes`);
  const end = offset + length - 1;
  if (buffer[end] !== 0) throw new BsonMalformed('a document does not end with a zero byte');
  let position = offset + 4;
  while (position < end) {
    const type = buffer[position]!;
    const nameEnd = cstringEnd(buffer, position + 1, end);
    const start = nameEnd + 1;
    const valueEnd = valueEndOf(type, buffer, start, end);
    if (valueEnd > end) throw new BsonMalformed('a value reaches beyond its document');
    yield { type, name: decodeText(buffer, position + 1, nameEnd), start, end: valueEnd };
    position = valueEnd;
  }
}

function cstringEnd(buffer: Buffer, start: number, end: number): number {
  const zero = buffer.indexOf(0, start);
  if (zero === -1 || zero >= end) throw new BsonMalformed('a name is not terminated');
  return zero;
}

function claimedLength(buffer: Buffer, start: number, end: number, least: number): number {
  if (end - start < 4) throw new BsonMalformed('a length is cut off');
  const length = buffer.readInt32LE(start);
  if (length < least || length > end - start) throw new BsonMalformed(`a value claims ${length} bytes`);
  return length;
}

function stringEnd(buffer: Buffer, start: number, end: number): number {
  const length = claimedLength(buffer, start, end, 1);
  const valueEnd = start + 4 + length;
  if (valueEnd > end || buffer[valueEnd - 1] !== 0) throw new BsonMalformed('a string is not terminated');
  return valueEnd;
}

function valueEndOf(type: number, buffer: Buffer, start: number, end: number): number {
  switch (type) {
    case bsonType.undefined:
    case bsonType.null:
    case bsonType.minKey:
    case bsonType.maxKey:
      return start;
    case bsonType.boolean:
      return start + 1;
    case bsonType.int32:
      return start + 4;
    case bsonType.double:
    case bsonType.date:
    case bsonType.timestamp:
    case bsonType.int64:
      return start + 8;
    case bsonType.objectId:
      return start + 12;
    case bsonType.decimal128:
      return start + 16;
    case bsonType.string:
    case bsonType.code:
    case bsonType.symbol:
      return stringEnd(buffer, start, end);
    case bsonType.document:
    case bsonType.array:
      return start + claimedLength(buffer, start, end, 5);
    case bsonType.codeWithScope:
      return start + claimedLength(buffer, start, end, 14);
    case bsonType.binary:
      return start + 5 + claimedLength(buffer, start, end, 0);
    case bsonType.regex:
      return cstringEnd(buffer, cstringEnd(buffer, start, end) + 1, end) + 1;
    case bsonType.dbPointer:
      return stringEnd(buffer, start, end) + 12;
    default:
      throw new BsonMalformed(`a value has the unknown type 0x${type.toString(16).padStart(2, '0')}`);
  }
}

/** The text of a string, code or symbol value whose length prefix stands at `start`. */
export function bsonText(buffer: Buffer, start: number): string {
  return decodeText(buffer, start + 4, start + 4 + buffer.readInt32LE(start) - 1);
}

/** The text of a zero-terminated string at `start`, and the position after it. */
export function bsonCstring(buffer: Buffer, start: number, end: number): { readonly text: string; readonly next: number } {
  const zero = cstringEnd(buffer, start, end);
  return { text: decodeText(buffer, start, zero), next: zero + 1 };
}
