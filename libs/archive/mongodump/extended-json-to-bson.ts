import { Decimal128 } from 'bson';
import { bsonType } from './bson-elements.js';
import { jsonField, type JsonObject, type JsonValue, malformed, parseJsonObject } from './ordered-json.js';

/** Of an integer that may fit 64 bits, with its sign and some zeros before it. To read millions of them takes seconds. */
const maxDigits = 40;

/** BSON of one Extended JSON document, canonical or relaxed, keys in the order of the text. Throws ARCHIVE_CORRUPT. */
export function extendedJsonToBson(text: string): Buffer {
  const writer = new BsonWriter();
  writer.document(parseJsonObject(text).entries);
  return writer.finish();
}

class BsonWriter {
  private bytes = Buffer.allocUnsafe(256);
  private length = 0;

  finish(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  private reserve(count: number): number {
    const start = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length, this.bytes.length * 2));
      this.bytes.copy(larger, 0, 0, start);
      this.bytes = larger;
    }
    return start;
  }

  private byte(value: number): void {
    const at = this.reserve(1);
    this.bytes[at] = value;
  }

  private int32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeInt32LE(value, at);
  }

  private uint32(value: number): void {
    const at = this.reserve(4);
    this.bytes.writeUInt32LE(value, at);
  }

  private int64(value: bigint): void {
    const at = this.reserve(8);
    this.bytes.writeBigInt64LE(value, at);
  }

  private double(value: number): void {
    const at = this.reserve(8);
    this.bytes.writeDoubleLE(value, at);
  }

  private raw(value: Uint8Array): void {
    const at = this.reserve(value.length);
    this.bytes.set(value, at);
  }

  private cstring(value: string): void {
    if (value.includes('\0')) throw malformed('a name holds a zero byte');
    this.raw(Buffer.from(value));
    this.byte(0);
  }

  private string(value: string): void {
    const bytes = Buffer.from(value);
    this.int32(bytes.length + 1);
    this.raw(bytes);
    this.byte(0);
  }

  document(entries: readonly (readonly [string, JsonValue])[]): void {
    const start = this.reserve(4);
    for (const [name, value] of entries) this.element(name, value);
    this.byte(0);
    this.bytes.writeInt32LE(this.length - start, start);
  }

  private element(name: string, value: JsonValue): void {
    const typeAt = this.reserve(1);
    this.cstring(name);
    // `value` may write (and so move) the bytes before its type is known.
    const type = this.value(value);
    this.bytes[typeAt] = type;
  }

  private value(value: JsonValue): number {
    switch (value.kind) {
      case 'string':
        this.string(value.value);
        return bsonType.string;
      case 'literal':
        if (value.value === null) return bsonType.null;
        this.byte(value.value ? 1 : 0);
        return bsonType.boolean;
      case 'number':
        return this.relaxedNumber(value.text);
      case 'array':
        this.document(value.items.map((item, index) => [String(index), item]));
        return bsonType.array;
      case 'object':
        return this.wrapped(value) ?? this.plain(value);
    }
  }

  private plain(value: JsonObject): number {
    this.document(value.entries);
    return bsonType.document;
  }

  private relaxedNumber(text: string): number {
    if (text.length <= maxDigits && /^-?\d+$/.test(text) && text !== '-0') {
      const integer = BigInt(text);
      if (BigInt.asIntN(32, integer) === integer) {
        this.int32(Number(integer));
        return bsonType.int32;
      }
      if (BigInt.asIntN(64, integer) === integer) {
        this.int64(integer);
        return bsonType.int64;
      }
    }
    this.double(Number(text));
    return bsonType.double;
  }

  /** Writes the value that a `{"$type": ...}` wrapper stands for; null when the object is no wrapper, such as `{"$gt": 1}`. */
  private wrapped(object: JsonObject): number | null {
    const first = object.entries[0];
    if (first === undefined || !first[0].startsWith('$')) return null;
    const names = object.entries.map(([name]) => name).sort().join();
    const field = (name: string): JsonValue | undefined => jsonField(object, name);
    switch (names) {
      case '$numberInt': {
        const integer = integerText(field('$numberInt'), 32);
        if (integer === null) return null;
        this.int32(Number(integer));
        return bsonType.int32;
      }
      case '$numberLong': {
        const integer = integerText(field('$numberLong'), 64);
        if (integer === null) return null;
        this.int64(integer);
        return bsonType.int64;
      }
      case '$numberDouble': {
        const text = stringOf(field('$numberDouble'));
        if (text === null) return null;
        // Each digit can be read in one way alone: an expression that tries several takes hours for a long text.
        if (!/^(?:NaN|-?Infinity|-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)$/.test(text)) throw malformed('$numberDouble is no number');
        this.double(Number(text));
        return bsonType.double;
      }
      case '$numberDecimal': {
        const text = stringOf(field('$numberDecimal'));
        if (text === null) return null;
        try {
          this.raw(Decimal128.fromString(text).bytes);
        } catch {
          throw malformed('$numberDecimal is no number');
        }
        return bsonType.decimal128;
      }
      case '$oid': {
        const text = stringOf(field('$oid'));
        if (text === null) return null;
        this.raw(objectIdBytes(text));
        return bsonType.objectId;
      }
      case '$date': {
        const date = field('$date');
        const text = stringOf(date);
        if (text !== null) {
          const milliseconds = Date.parse(text);
          if (Number.isNaN(milliseconds)) throw malformed('$date is no date');
          this.int64(BigInt(milliseconds));
          return bsonType.date;
        }
        const inner = date?.kind === 'object' && date.entries.length === 1 ? integerText(jsonField(date, '$numberLong'), 64) : null;
        const integer = inner ?? (date?.kind === 'number' ? integerText(date, 64) : null);
        if (integer === null) return null;
        this.int64(integer);
        return bsonType.date;
      }
      case '$timestamp': {
        const value = field('$timestamp');
        if (value?.kind !== 'object') return null;
        const [t, i] = [jsonField(value, 't'), jsonField(value, 'i')].map((part) => (part?.kind === 'number' && /^\d+$/.test(part.text) ? Number(part.text) : -1));
        if (t === undefined || i === undefined || t < 0 || i < 0 || t > 0xffffffff || i > 0xffffffff) throw malformed('$timestamp is malformed');
        this.uint32(i);
        this.uint32(t);
        return bsonType.timestamp;
      }
      case '$binary':
      case '$binary,$type': {
        const value = field('$binary');
        const legacy = stringOf(value);
        const base64 = legacy ?? (value?.kind === 'object' ? stringOf(jsonField(value, 'base64')) : null);
        const subTypeText = stringOf(legacy === null ? value?.kind === 'object' ? jsonField(value, 'subType') : undefined : field('$type'));
        if (base64 === null || subTypeText === null || !/^[0-9a-fA-F]{1,2}$/.test(subTypeText)) return null;
        if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw malformed('$binary is not base64');
        const bytes = Buffer.from(base64, 'base64');
        const subType = parseInt(subTypeText, 16);
        this.int32(subType === 2 ? bytes.length + 4 : bytes.length);
        this.byte(subType);
        if (subType === 2) this.int32(bytes.length);
        this.raw(bytes);
        return bsonType.binary;
      }
      // `{"$regex": ..., "$options": ...}` is a query operator and stays a document.
      case '$regularExpression': {
        const value = field('$regularExpression');
        const pattern = value?.kind === 'object' ? stringOf(jsonField(value, 'pattern')) : null;
        const options = value?.kind === 'object' ? stringOf(jsonField(value, 'options')) : null;
        if (pattern === null || options === null) return null;
        this.cstring(pattern);
        this.cstring(options);
        return bsonType.regex;
      }
      case '$dbPointer': {
        const value = field('$dbPointer');
        const reference = value?.kind === 'object' ? stringOf(jsonField(value, '$ref')) : null;
        const id = value?.kind === 'object' ? jsonField(value, '$id') : undefined;
        const oid = id?.kind === 'object' ? stringOf(jsonField(id, '$oid')) : null;
        if (reference === null || oid === null) return null;
        this.string(reference);
        this.raw(objectIdBytes(oid));
        return bsonType.dbPointer;
      }
      case '$code': {
        const text = stringOf(field('$code'));
        if (text === null) return null;
        this.string(text);
        return bsonType.code;
      }
      case '$code,$scope': {
        const text = stringOf(field('$code'));
        const scope = field('$scope');
        if (text === null || scope?.kind !== 'object') return null;
        const start = this.reserve(4);
        this.string(text);
        this.document(scope.entries);
        this.bytes.writeInt32LE(this.length - start, start);
        return bsonType.codeWithScope;
      }
      case '$symbol': {
        const text = stringOf(field('$symbol'));
        if (text === null) return null;
        this.string(text);
        return bsonType.symbol;
      }
      case '$undefined':
        return bsonType.undefined;
      case '$minKey':
        return bsonType.minKey;
      case '$maxKey':
        return bsonType.maxKey;
      default:
        return null;
    }
  }
}

function stringOf(value: JsonValue | undefined): string | null {
  return value?.kind === 'string' ? value.value : null;
}

function integerText(value: JsonValue | undefined, bits: number): bigint | null {
  const text = value?.kind === 'number' ? value.text : stringOf(value);
  if (text === null || !/^-?\d+$/.test(text)) return null;
  if (text.length > maxDigits) throw malformed(`an integer of ${text.length} digits does not fit ${bits} bits`);
  const integer = BigInt(text);
  if (BigInt.asIntN(bits, integer) !== integer) throw malformed(`${text} does not fit ${bits} bits`);
  return integer;
}

function objectIdBytes(text: string): Buffer {
  if (!/^[0-9a-fA-F]{24}$/.test(text)) throw malformed('$oid is not 24 hex digits');
  return Buffer.from(text, 'hex');
}
