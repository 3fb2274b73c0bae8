import { deserialize, EJSON } from 'bson';
import { bsonType, elementsOf, textOf, type RawElement } from './raw-bson.js';

/**
 * A BSON document as canonical Extended JSON v2, fields in the server's order. EJSON.stringify alone would go through a
 * plain object, which moves integer-like names to the front: another index, another view.
 */
export function toCanonicalJson(document: Buffer): string {
  const fields: string[] = [];
  for (const element of elementsOf(document)) fields.push(`${JSON.stringify(element.name)}:${valueToJson(element)}`);
  return `{${fields.join(',')}}`;
}

function arrayToJson(array: Buffer): string {
  return `[${[...elementsOf(array)].map(valueToJson).join(',')}]`;
}

function valueToJson(element: RawElement): string {
  const { type, value } = element;
  switch (type) {
    case bsonType.document: return toCanonicalJson(value);
    case bsonType.array: return arrayToJson(value);
    case bsonType.string: return JSON.stringify(textOf(element));
    case bsonType.undefined: return '{"$undefined":true}';
    case bsonType.binary: return binaryToJson(value);
    case bsonType.codeWithScope: return codeWithScopeToJson(value);
    case bsonType.dbPointer: {
      const end = 4 + value.readInt32LE(0);
      return `{"$dbPointer":{"$ref":${JSON.stringify(value.toString('utf8', 4, end - 1))},"$id":{"$oid":"${value.toString('hex', end)}"}}}`;
    }
    default: return scalarToJson(type, value);
  }
}

function binaryToJson(value: Buffer): string {
  const subType = value[4] ?? 0;
  // The old generic subtype 2 holds its length a second time.
  const bytes = value.subarray(subType === 2 ? 9 : 5);
  return `{"$binary":{"base64":"${bytes.toString('base64')}","subType":"${subType.toString(16).padStart(2, '0')}"}}`;
}

function codeWithScopeToJson(value: Buffer): string {
  const codeEnd = 8 + value.readInt32LE(4);
  return `{"$code":${JSON.stringify(value.toString('utf8', 8, codeEnd - 1))},"$scope":${toCanonicalJson(value.subarray(codeEnd))}}`;
}

/** Numbers, dates, ids and the like hold no names, so the bson library may speak: it gets a document of this one value. */
function scalarToJson(type: number, value: Buffer): string {
  const document = Buffer.alloc(4 + 3 + value.length + 1);
  document.writeInt32LE(document.length, 0);
  document[4] = type;
  document[5] = 0x76;
  value.copy(document, 7);
  const decoded = deserialize(document, { promoteValues: false, promoteLongs: false, bsonRegExp: true });
  return EJSON.stringify(decoded['v'], { relaxed: false });
}
