import { BSON, Decimal128, Double, Int32, Long, type Document } from 'mongodb';
import { extendedJsonToBson } from '#archive';
import { bsonType, elementsOf, type RawElement } from './raw-bson.js';

/**
 * A document whose fields keep their order, whatever their names: a plain object moves integer-like names to the front,
 * which would change an index on `{b: 1, "1": 1}`. The driver serialises a Map in its own order, and leaves are the
 * driver's own classes, so that types survive too.
 */
export type OrderedDocument = Map<string, OrderedValue>;
export type OrderedValue = string | boolean | null | undefined | Date | object | OrderedValue[] | OrderedDocument;

/** The field `name` of a definition; the server takes no other type there. */
export function nameOf(definition: OrderedDocument): string {
  const name = definition.get('name');
  return typeof name === 'string' ? name : '';
}

/** Parses one Extended JSON object. Throws ARCHIVE_CORRUPT. */
export function parseOrdered(text: string): OrderedDocument {
  return readOrdered(extendedJsonToBson(text));
}

/** Decodes one document that a server sent or that was made from checked text. */
export function readOrdered(document: Buffer): OrderedDocument {
  const fields: OrderedDocument = new Map();
  for (const element of elementsOf(document)) fields.set(element.name, valueOf(element));
  return fields;
}

/** Decodes one element; numbers and every other leaf keep their BSON type. */
export function valueOf(element: RawElement): OrderedValue {
  if (element.type === bsonType.document) return readOrdered(element.value);
  if (element.type === bsonType.array) return [...elementsOf(element.value)].map(valueOf);
  const { value } = element;
  const single = Buffer.alloc(4 + 2 + value.length + 1);
  single.writeInt32LE(single.length, 0);
  single[4] = element.type;
  value.copy(single, 6);
  return BSON.deserialize(single, { promoteValues: false, promoteBuffers: false, bsonRegExp: true })[''] as OrderedValue;
}

export function isDocument(value: OrderedValue): value is OrderedDocument {
  return value instanceof Map;
}

/** The top level as a plain object, for a command's fields; nested documents stay ordered. */
export function toCommand(document: OrderedDocument): Document {
  return Object.fromEntries(document);
}

/** A number of any BSON type; null for anything else. */
export function numberOf(value: OrderedValue): number | null {
  if (value instanceof Int32 || value instanceof Double) return value.valueOf();
  if (Long.isLong(value)) return value.toNumber();
  return value instanceof Decimal128 ? Number(value.toString()) : null;
}

/** Whether the server would act alike on both: fields in the same order, numbers equal by value whatever their type. */
export function sameValue(left: OrderedValue, right: OrderedValue): boolean {
  const a = numberOf(left);
  const b = numberOf(right);
  if (a !== null || b !== null) return a === b || Object.is(a, b);
  if (isDocument(left)) {
    if (!isDocument(right) || left.size !== right.size) return false;
    const others = [...right];
    return [...left].every(([name, value], index) => others[index]?.[0] === name && sameValue(value, others[index][1]));
  }
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((value: OrderedValue, index) => sameValue(value, right[index] as OrderedValue));
  }
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return left === right;
  return Buffer.compare(BSON.serialize({ leaf: left }), BSON.serialize({ leaf: right })) === 0;
}
