import { AppError } from '#errors';
import { Decimal128 } from 'bson';
import { bsonCstring, bsonElements, bsonText, bsonType, type BsonElement } from './bson-elements.js';
import { maxDepth } from './ordered-json.js';

/** Canonical Extended JSON v2 of one BSON document, without white space, as mongodump writes it into metadata. */
export function bsonToExtendedJson(document: Buffer): string {
  return objectToJson(document, 0, 0);
}

function objectToJson(buffer: Buffer, offset: number, depth: number): string {
  if (depth > maxDepth) throw new AppError('ARCHIVE_CORRUPT', `A document is nested more than ${maxDepth} levels deep`);
  const parts: string[] = [];
  for (const element of bsonElements(buffer, offset)) {
    parts.push(`${JSON.stringify(element.name)}:${valueToJson(buffer, element, depth)}`);
  }
  return `{${parts.join(',')}}`;
}

function arrayToJson(buffer: Buffer, offset: number, depth: number): string {
  if (depth > maxDepth) throw new AppError('ARCHIVE_CORRUPT', `A document is nested more than ${maxDepth} levels deep`);
  const parts: string[] = [];
  for (const element of bsonElements(buffer, offset)) parts.push(valueToJson(buffer, element, depth));
  return `[${parts.join(',')}]`;
}

function doubleToText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function valueToJson(buffer: Buffer, element: BsonElement, depth: number): string {
  const { type, start, end } = element;
  switch (type) {
    case bsonType.double:
      return `{"$numberDouble":"${doubleToText(buffer.readDoubleLE(start))}"}`;
    case bsonType.string:
      return JSON.stringify(bsonText(buffer, start));
    case bsonType.document:
      return objectToJson(buffer, start, depth + 1);
    case bsonType.array:
      return arrayToJson(buffer, start, depth + 1);
    case bsonType.binary: {
      const subType = buffer[start + 4]!;
      // The old generic binary (2) repeats its length inside; Extended JSON carries the bytes alone.
      const bytes = buffer.subarray(subType === 2 ? start + 9 : start + 5, end);
      return `{"$binary":{"base64":"${bytes.toString('base64')}","subType":"${subType.toString(16).padStart(2, '0')}"}}`;
    }
    case bsonType.undefined:
      return '{"$undefined":true}';
    case bsonType.objectId:
      return `{"$oid":"${buffer.toString('hex', start, end)}"}`;
    case bsonType.boolean:
      return buffer[start] === 0 ? 'false' : 'true';
    case bsonType.date:
      return `{"$date":{"$numberLong":"${buffer.readBigInt64LE(start)}"}}`;
    case bsonType.null:
      return 'null';
    case bsonType.regex: {
      const pattern = bsonCstring(buffer, start, end);
      const options = bsonCstring(buffer, pattern.next, end);
      return `{"$regularExpression":{"pattern":${JSON.stringify(pattern.text)},"options":${JSON.stringify(options.text)}}}`;
    }
    case bsonType.dbPointer:
      return `{"$dbPointer":{"$ref":${JSON.stringify(bsonText(buffer, start))},"$id":{"$oid":"${buffer.toString('hex', end - 12, end)}"}}}`;
    case bsonType.code:
      return `{"$code":${JSON.stringify(bsonText(buffer, start))}}`;
    case bsonType.symbol:
      return `{"$symbol":${JSON.stringify(bsonText(buffer, start))}}`;
    case bsonType.codeWithScope: {
      const scope = start + 8 + buffer.readInt32LE(start + 4);
      if (scope < start + 9 || scope > end - 5) throw new AppError('ARCHIVE_CORRUPT', 'A code value is malformed');
      return `{"$code":${JSON.stringify(bsonText(buffer, start + 4))},"$scope":${objectToJson(buffer.subarray(0, end), scope, depth + 1)}}`;
    }
    case bsonType.int32:
      return `{"$numberInt":"${buffer.readInt32LE(start)}"}`;
    case bsonType.timestamp:
      return `{"$timestamp":{"t":${buffer.readUInt32LE(start + 4)},"i":${buffer.readUInt32LE(start)}}}`;
    case bsonType.int64:
      return `{"$numberLong":"${buffer.readBigInt64LE(start)}"}`;
    case bsonType.decimal128:
      return `{"$numberDecimal":"${new Decimal128(buffer.subarray(start, end)).toString()}"}`;
    case bsonType.minKey:
      return '{"$minKey":1}';
    default:
      return '{"$maxKey":1}';
  }
}
